"""Ten incidents, side by side: plain LangGraph and lg_production."""
