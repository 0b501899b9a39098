"""What every capability stands on: the database, the step protocol, LangGraph's surfaces."""
