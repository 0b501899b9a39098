"""Random SIGKILLs and SIGSTOPs of real workers, until all their work is done."""
