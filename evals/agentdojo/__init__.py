"""AgentDojo v1.2.2 inside LangGraph, with a model that obeys every injection completely."""
