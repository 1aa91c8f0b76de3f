from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class InContextLearning:
    main: str
    others: tuple[str, ...]
    steps: int
    fluent: float = 0.5
    def findings(self, results):
        return iter(())
