"""What is compared with other libraries needs them: `make test` installs the extra `oracles`."""

from importlib.util import find_spec

collect_ignore_glob = [] if all(map(find_spec, ("mapie", "statsmodels"))) else ["test_*.py"]
