"""tau2-bench, every write delivered twice: plain LangGraph and lg_production."""
