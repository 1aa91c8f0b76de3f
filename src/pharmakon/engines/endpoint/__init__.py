"""`EndpointEngine`: a model behind an OpenAI-compatible server, asked over HTTP, never trained."""

from pharmakon.engines.endpoint.engine import EndpointEngine, endpoint

__all__ = ["EndpointEngine", "endpoint"]
