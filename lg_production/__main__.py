"""`python -m lg_production` is `lg-production`."""

from .cli import main

main()
