"""What a call costs: prices from the pinned package genai-prices, and declared ones."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from ..errors import PriceUnknown
from .usage import Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

DATA = ("data.py", "data_units.py")
AHEAD = timedelta(days=1)
"""A price that begins within a day may be the one that a call is billed at."""
PROVIDERS = {
    "azure_openai": "azure", "azure_ai": "azure", "azureopenai": "azure", "bedrock": "aws",
    "togetherai": "together", "zhipu": "zhipuai", "grok": "x-ai",
}  # fmt: skip
"""LangChain's names that genai-prices does not find by itself."""
COMPATIBLE = {"openai"}
"""Their clients are used for other providers' servers too, and still say this name."""

Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Price(BaseModel):
    """The price of one model, in USD for a million tokens; `input=0, output=0` is free.

    Amounts are Decimal, str or int, never float. What is None costs as much as plain input
    (`cache_read`), as the dearest that the cache is written for (`cache_write`), as output
    (`reasoning`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    reasoning: Usd | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, Decimal | str | int)
        ):
            raise ValueError("a price is an int, a Decimal or a string like '0.15', no float")
        return value


DECLARED = TypeAdapter(dict[str, Price])

Tiers: TypeAlias = tuple[tuple[int, Decimal], ...]
"""A price for each size of the input: it holds for more tokens than its number."""


@dataclass(frozen=True, slots=True)
class Rates:
    """All prices of one model at one time, in USD for a million tokens, which is micro-USD each."""

    input: Tiers
    output: Tiers | None
    cache_read: Tiers
    cache_write: Tiers
    cache_write_1h: Tiers
    reasoning: Tiers | None
    per_call: Decimal = Decimal(0)
    """Micro-USD."""

    def cost(self, usage: Usage) -> Decimal:
        """Micro-USD. Every token is priced once, by what it is."""
        size = usage.input_tokens
        hour = min(usage.cache_write_1h, usage.cache_write)
        plain = max(0, size - usage.cache_read - usage.cache_write)
        said = max(0, usage.output_tokens - usage.reasoning)
        return (
            self.per_call
            + plain * tier(self.input, size)
            + usage.cache_read * tier(self.cache_read, size)
            + (usage.cache_write - hour) * tier(self.cache_write, size)
            + hour * tier(self.cache_write_1h, size)
            + said * tier(self.output or (), size)
            + usage.reasoning * tier(self.reasoning or (), size)
        )

    def dearest(self, size: int) -> tuple[Decimal, Decimal, Decimal]:
        """The most for a token in, for one out, and for the call, if so many tokens go in."""
        into = (self.input, self.cache_read, self.cache_write, self.cache_write_1h)
        return most(into, size), most((self.output, self.reasoning), size), self.per_call


def tier(tiers: Tiers, size: int) -> Decimal:
    """The price in the tier of an input of this size; 0 for no tiers."""
    return next((price for start, price in reversed(tiers) if size > start), Decimal(0))


def most(prices: Iterable[Tiers | None], size: int) -> Decimal:
    """The dearest price that an input of at most this size can meet."""
    found = [p for tiers in prices for start, p in tiers or () if size > start]
    return max(found, default=Decimal(0))


@dataclass(frozen=True)
class PriceBook:
    """Prices of models: `declared` ones, else those that genai-prices 0.2.3 carries with it.

    Nothing is fetched, so `version`, which is kept with every settled call, says which prices
    those were. A declared price counts for exactly that model name, at any provider. A model
    without a price raises `PriceUnknown`; so does one whose price is zero in the table: what is
    free must be declared. Priced are tokens and calls; audio and images as text, and web
    searches not at all: declare a price that covers them.

    `provider` is LangChain's `ls_provider`. One that genai-prices does not know is as none:
    then the price is that of the model's maker. A known provider without the model is
    `PriceUnknown`. `context` names what a request chose that changes prices:
    `{"service_tier": "priority"}`.
    """

    declared: Mapping[str, Price] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read prices that are written as mappings. Raises pydantic's `ValidationError`."""
        object.__setattr__(self, "declared", DECLARED.validate_python(self.declared))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read declared prices from JSON or TOML. Raises `ValueError` that says what is wrong.

        `{"currency": "USD", "models": {"my-model": {"input": 0.15, "output": 0.60}}}`; numbers
        are read exactly.
        """
        return cls(read_prices(Path(path)))

    @property
    def version(self) -> str:
        """The package and the hash of its data, and of the declared prices: about 40 characters."""
        if not self.declared:
            return table_version()
        told = {name: price.model_dump(mode="json") for name, price in self.declared.items()}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return f"{table_version()} +{digest[:8]}"

    def ceiling(
        self,
        model: str,
        *,
        input_tokens: int,
        output_tokens: int,
        provider: str = "",
        context: Mapping[str, str] | None = None,
    ) -> int:
        """The most that a call of so many tokens can cost, in micro-USD, rounded up.

        Every token is taken at its dearest: plain, read from or written into a cache, in the
        dearest tier and at the dearest hour of the coming day. Raises `PriceUnknown`.
        """
        rates = self._ahead(model, provider, context)
        if output_tokens and not all(rate.output for rate in rates):
            unknown(model, provider)
        found = [rate.dearest(input_tokens) for rate in rates]
        into, out, call = (max(price[part] for price in found) for part in range(3))
        return math.ceil(input_tokens * into + output_tokens * out + call)

    def cost(
        self,
        model: str,
        usage: Usage,
        *,
        provider: str = "",
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> int:
        """What a call cost, in micro-USD, rounded up, at the prices of `at` (default: now).

        Raises `PriceUnknown`.
        """
        rates = self._rates(model, provider, at or datetime.now(UTC), context)
        if usage.output_tokens and not rates.output:
            unknown(model, provider)
        return math.ceil(rates.cost(usage))

    def prices(self, model: str, provider: str = "") -> Rates:
        """All prices of a model now. Raises `PriceUnknown`."""
        return self._rates(model, provider, datetime.now(UTC), None)

    def _rates(
        self, model: str, provider: str, when: datetime, context: Mapping[str, str] | None
    ) -> Rates:
        if model in self.declared:
            return declared_rates(self.declared[model])
        found = found_model(model, provider).get_prices(when, context)
        return rates_of(found) or unknown(model, provider)

    def _ahead(
        self, model: str, provider: str, context: Mapping[str, str] | None
    ) -> tuple[Rates, ...]:
        if model in self.declared:
            return (declared_rates(self.declared[model]),)
        now = datetime.now(UTC)
        named = tuple(sorted((context or {}).items()))
        hour = now.replace(minute=0, second=0, microsecond=0)
        return ahead(model, provider, hour, named) or unknown(model, provider)


def unknown(model: str, provider: str) -> NoReturn:
    """Raise `PriceUnknown` for this model."""
    where = f" of {provider}" if provider else ""
    raise PriceUnknown(f"(model: {model or 'not named'}{where})")


# ------------------------------------------------------------------------------ the table


@cache
def table_version() -> str:
    """The package, its version and the hash of the prices it carries; imports nothing."""
    return f"genai-prices {version('genai-prices')} {table_hash()[:12]}"


@cache
def table_hash() -> str:
    """SHA-256 of the data in the installed package."""
    spec = find_spec("genai_prices")
    folder = Path(str(spec.origin if spec else "")).parent
    sha = hashlib.sha256()
    for name in DATA:
        sha.update((folder / name).read_bytes())
    return sha.hexdigest()


@cache
def table() -> DataSnapshot:
    """The prices of the package: never those that an updater may have fetched."""
    from genai_prices.data import providers  # noqa: PLC0415 - heavy: a second
    from genai_prices.data_snapshot import DataSnapshot  # noqa: PLC0415 - heavy

    return DataSnapshot(providers=providers, from_auto_update=False)


@lru_cache(maxsize=4096)
def found_model(model: str, provider: str) -> ModelInfo:
    """The entry of a model. Raises `PriceUnknown`."""
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415 - heavy

    name = PROVIDERS.get(provider.lower(), provider)
    known = find_provider_by_id(table().providers, name) if name else None
    tried: list[str | None] = [known.id if known else None]
    if known and known.id in COMPATIBLE:
        tried.append(None)
    for provider_id in tried:
        try:
            return table().find_provider_model(model, None, provider_id, None)[1]
        except LookupError:
            continue
    unknown(model, provider)


@lru_cache(maxsize=4096)
def ahead(
    model: str, provider: str, now: datetime, context: tuple[tuple[str, str], ...]
) -> tuple[Rates, ...]:
    """The prices that may hold within a day; none if one of them is unknown."""
    info = found_model(model, provider)
    found = [rates_of(price) for price in possible(info, now)]
    if context:
        starts = (now, now + AHEAD)
        found += [rates_of(info.get_prices(start, dict(context))) for start in starts]
    return () if None in found else tuple(rate for rate in found if rate)


def possible(info: ModelInfo, now: datetime) -> Iterator[ModelPrice]:
    """The prices of a model that hold now or at some time within a day."""
    if not isinstance(info.prices, list):
        yield info.prices
        return
    for conditional in reversed(info.prices):
        start = getattr(conditional.constraint, "start_date", None)
        if start is None or start <= (now + AHEAD).date():
            yield conditional.prices
        if conditional.constraint is None or (start is not None and start <= now.date()):
            return
    if info.prices:
        yield info.prices[0].prices


def rates_of(price: ModelPrice) -> Rates | None:
    """The prices of tokens and calls; None where the table has no price or a price of zero."""
    told = {name: tiers(value) for name, value in vars(price).items() if value is not None}
    plain, out = told.get("input_mtok"), told.get("output_mtok")
    if not plain or not any(p for each in (plain, out or ()) for _, p in each):
        return None
    write = told.get("cache_write_mtok") or plain
    calls = told.get("requests_kcount") or ()
    return Rates(
        input=plain,
        output=out,
        cache_read=told.get("cache_read_mtok") or plain,
        cache_write=write,
        cache_write_1h=told.get("cache_write_1h_mtok") or write,
        reasoning=told.get("output_reasoning_mtok") or out,
        per_call=max((p for _, p in calls), default=Decimal(0)) * 1000,
    )


def tiers(value: Any) -> Tiers:
    """A price of genai-prices, its base first."""
    more = ((one.start, one.price) for one in getattr(value, "tiers", ()))
    return ((-1, getattr(value, "base", value)), *more)


def declared_rates(price: Price) -> Rates:
    """A declared price in full."""
    into, out = tiers(price.input), tiers(price.output)
    write = into if price.cache_write is None else tiers(price.cache_write)
    return Rates(
        input=into,
        output=out,
        cache_read=into if price.cache_read is None else tiers(price.cache_read),
        cache_write=write,
        cache_write_1h=write,
        reasoning=out if price.reasoning is None else tiers(price.reasoning),
    )


# -------------------------------------------------------------------------------- a file


def read_prices(path: Path) -> dict[str, Price]:
    """The declared prices in a file. Raises `ValueError` that says what is wrong with it."""
    content = parsed(path)
    currency = content.get("currency", "USD")
    if currency != "USD":
        raise ValueError(f"{path.name}: prices are in USD, not in {currency!r}; convert them")
    models = content.get("models")
    if not isinstance(models, dict) or content.keys() - {"currency", "models"}:
        raise ValueError(
            f'{path.name}: write {{"models": {{"name": {{"input": "0.15", "output": "0.60"}}}}}}, '
            'and beside it only "currency"'
        )
    return {name: priced(path, name, told) for name, told in models.items()}


def parsed(path: Path) -> dict[str, Any]:
    """The content of a JSON or TOML file, its numbers exact."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text, parse_float=Decimal)
        content = json.loads(
            text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=once
        )
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{path.name} does not parse: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold an object with models")  # noqa: TRY004
    return content


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of which no name may stand twice: TOML does not allow it either."""
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return dict(pairs)


def priced(path: Path, name: str, told: Any) -> Price:
    """One declared price."""
    try:
        return Price.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise ValueError(f"{path.name}: {place}: {first['msg']}") from None
