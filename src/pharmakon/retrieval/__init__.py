"""Retrieval: which passages are nearest to a question, and the contexts that show them: a store, or a memory."""

from pharmakon.retrieval.context import Retrieval
from pharmakon.retrieval.memory import FactChecked, Memory, NoDictation
from pharmakon.retrieval.retrievers import BM25, Embeddings, Fused, Retriever

__all__ = ["BM25", "Embeddings", "FactChecked", "Fused", "Memory", "NoDictation", "Retrieval", "Retriever"]
