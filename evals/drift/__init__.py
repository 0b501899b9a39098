"""How soon a judge that changed is found, and who is blamed: research on judge drift, replayed."""
