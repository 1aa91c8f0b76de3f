"""Retrieval: which passages of a store are nearest to a question, and the context that shows them to a model."""

from pharmakon.retrieval.context import Retrieval
from pharmakon.retrieval.retrievers import BM25, Embeddings, Fused, Retriever

__all__ = ["BM25", "Embeddings", "Fused", "Retrieval", "Retriever"]
