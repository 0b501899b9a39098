"""The dev server and the airline of the Studio test."""

from tests.test_studio import an_airline, client, server

__all__ = ["an_airline", "client", "server"]
