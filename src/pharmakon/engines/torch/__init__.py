"""The torch engine: any causal model of transformers; here the micro Llama, from scratch."""

from pharmakon.engines.torch.engine import TorchEngine

__all__ = ["TorchEngine"]
