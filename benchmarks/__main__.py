"""`make bench`: every figure is a ratio of two things measured in this run, or a time with its stated target."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import lora, manifest, planning, sharing, trainer

TOKENS = "350 tokens/s on two cores, from 150 GF/s on"


def main() -> None:
    """Measure, print, and write RESULTS.md."""
    lines = [
        "# Benchmarks",
        "",
        f"`make bench`, {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}. "
        "Ratios are of two things measured in the same run.",
        "",
        "| what | figure | target |",
        "|---|---|---|",
    ]

    def row(what: str, figure: str, target: str) -> None:
        lines.append(f"| {what} | {figure} | {target} |")
        print(lines[-1], flush=True)

    speed = trainer.measure()
    for task, name in (("dialogues", "instruction tuning, batch 8"), ("text", "pretraining rows, batch 16 x 64")):
        rates = speed["tokens_per_second"]
        detail = f"{rates[f'{task} engine']:,.0f} against {rates[f'{task} trainer']:,.0f} tokens/s, one thread"
        row(f"torch engine against `Trainer`: {name}", f"**{speed['ratio'][task]:.2f}** ({detail})", "1.3")
    for count, rates in lora.measure().items():
        threads = "one thread" if count == "1" else f"{count} threads"
        what = f"SmolLM2 with LoRA, {threads}, bfloat16 products at {rates['bfloat16']:,.0f} GF/s"
        row(what, f"**{rates['engine']:,.0f} tokens/s**", TOKENS)
        for loop, name in (("trl", "`SFTTrainer`"), ("trl, no checkpointing", "the same, no gradient checkpointing")):
            figure = f"**{rates['engine'] / rates[loop]:.2f}** ({rates[loop]:,.0f} tokens/s)"
            row(f"the same against TRL's {name}" if loop == "trl" else name, figure, "1.5")
        if "two workers" in rates:
            row("two workers at once, one thread each", f"**{rates['two workers']:,.0f} tokens/s**", TOKENS)
    listed = manifest.measure()
    rates, memory = listed["mb_per_second"], listed["memory_mb"]
    detail = f"{rates['check']:,.0f} against {rates['hash']:,.0f} MB/s a core, records of 1 kB"
    row("`manifest check` against plain SHA-256 of the file", f"**{listed['ratio']:.2f}** ({detail})", "–")
    row(
        "`manifest check`",
        f"**{rates['check']:,.0f} MB/s** a core, {memory['check']:.0f} MB of memory",
        "200 MB/s, 200 MB",
    )
    detail = f"write {rates['write, addresses']:,.0f} MB/s, {memory['check, addresses']:.0f} MB of memory"
    row(
        "`manifest check` by the address in each line",
        f"**{rates['check, addresses']:,.0f} MB/s** ({detail})",
        "200 MB/s",
    )
    detail = f"{memory['small']:.0f} MB if identical; {rates['moved']:,.0f} MB/s, 40 bytes each"
    row(
        "`manifest check`, 10 million records, all at other places",
        f"**{memory['moved']:.0f} MB** ({detail})",
        "200 MB",
    )
    planned = planning.measure()
    row(f"planning {planned['num_cells']:,} cached cells", f"**{planned['seconds']:.2f} s**", "2 s")
    shared = sharing.measure()
    alone = sum(shared["alone_core_seconds"]) / len(shared["alone_core_seconds"])
    detail = f"{shared['study']['core_seconds']:.0f} core-seconds against {shared['num_cells']} x {alone:.0f}"
    row("the demo study against its cells trained from the start", f"**{shared['ratio']:.1f}** ({detail})", "4")
    row("the demo study, cold, two workers", f"**{shared['study']['wall_seconds']:.0f} s**", "300 s")
    row("the demo study again, nothing changed", f"**{shared['rerun']['wall_seconds']:.1f} s**", "5 s")
    lines += [
        "",
        "The cells trained from the start are three, one of each arm, trained in full with nothing shared; their mean "
        "is multiplied by the number of cells. Training speeds are medians of three rounds, in turn, each in a process "
        "of its own: same model, data, batch, precision, optimizer (fused AdamW).",
        "",
        "LoRA: the same for SmolLM2 in bfloat16, rank 8 on all linear layers, 64 dialogues of rated snippets in "
        "batches of 8 after a warm-up of 16. Tokens are those of the dialogues, not of padding; both loops learn from "
        "the same. `SFTTrainer` has its own defaults (prompt and completion, padding to the longest of a batch, "
        "gradient checkpointing, autocast) but for the order of the documents. With one thread the time is that of the "
        "process, with two the clock's.",
        "",
    ]
    (Path(__file__).parent / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
