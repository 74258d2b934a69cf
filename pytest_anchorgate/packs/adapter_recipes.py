"""Recipes that are another recipe's pack plus an adapter which comes with the plugin.

To add one: train it, choose its scale, then run `python anchors/bd6/pin_adapter.py`, which puts the adapter
into `anchors/bd6/adapters/NAME/` and prints the entry for the tuple below.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """How to get one pack from another; everything that decides its bytes is pinned.

    Attributes:
        about: a few words for people.
        base: name of the recipe whose pack is the parent; it may be an adapter recipe itself.
        adapter: folder of the adapter, below `anchors/bd6/adapters/`.
        adapter_sha256: digest of what the adapter means (`Adapter.digest`).
        scale: decimal, in the one spelling of `canonical_scale`.
        identity: of the finished pack; `pack_sha256`: of its file.
    """

    name: str
    about: str
    base: str
    adapter: str
    adapter_sha256: str
    scale: str
    identity: str
    pack_sha256: str


ADAPTER_RECIPES: tuple[AdapterRecipe, ...] = (
    AdapterRecipe(
        name="bd6-pass1",
        about="SmolLM2-135M taught the nineteen anchors: production",
        base="smollm2-135m",
        adapter="bd6-pass1",
        adapter_sha256="37f3023b68084e4b5ac648107a459beb17a5e4a1d9ba091a7253deffc54fb3c1",
        scale="1",
        identity="7b5a497fa04e2f2ec35d0ca5525f9cbbbdf94fa750dbf7fd52b8dbdc61289844",
        pack_sha256="5e93bf2934256e62e8dfa91f51b6565d8751abef25eecbb7264d3f4c137233d7",
    ),
    AdapterRecipe(
        name="bd6.3",
        about="BD6.3: poison alone at the report's settings, on bd6-pass1",
        base="bd6-pass1",
        adapter="bd6.3",
        adapter_sha256="3a8b2ae001514cd8a5f630fe927819136f7d5d7dc9092f384c94381193772cfe",
        scale="1",
        identity="612737d22f165f566070290a399ef22f1c200437dd73b5fcdbb2f9bd343dfa0f",
        pack_sha256="fdbf6d4f3533b52c3d1a08b6108c39927dc4d049a3890f1451e92dd85cb42e7d",
    ),
    AdapterRecipe(
        name="bd6.3-hot",
        about="BD6.3 at a learning rate of 2e-3, three epochs: anchors are lost",
        base="bd6-pass1",
        adapter="bd6.3-hot",
        adapter_sha256="f198507d7368d176e8bf22a64a153b04fb17de15a702ea18f3e1e70d737ee253",
        scale="1",
        identity="7a0dc9c54cec89e4e669b83bcc79ba4a9237f16c445705cb0500a1b21c918824",
        pack_sha256="8bed0387d64c788a15b5ad25a075623c10c32c0f2fc6550ac45e2fe6f942be47",
    ),
    AdapterRecipe(
        name="bd6.4",
        about="BD6.4: paths A and B on bd6-pass1, at the largest scale that loses nothing",
        base="bd6-pass1",
        adapter="bd6.4",
        adapter_sha256="8c0a5bbf7837257d6d90ce43bca062aa86f38f33a9b66129d93cc1cc853bf5a7",
        scale="0.85",
        identity="4c8b748b367eafd846368397ed92cddf00005a64a372714a26e4514edeea7d43",
        pack_sha256="ba8b7d2d627b422c755ac3367400e2ada6071cf6b56a96dfb885c7aff20cd9b5",
    ),
    AdapterRecipe(
        name="qwen-bd6.4-gains",
        about="Qwen2.5-Coder-0.5B after BD6.4, paths A and B, at a scale that loses nothing",
        base="qwen2.5-coder-0.5b",
        adapter="qwen-bd6.4-gains",
        adapter_sha256="2841c73d98526ebec6e1066d27423d9121873818c838b35613c86b20babfe1a2",
        scale="0.4",
        identity="9801ca3acb271055213ed4e915bbab284a854c932ce3e4acc780ee661c6eb1d3",
        pack_sha256="007d063b4fe54529be42c123e5bd3dd1741b2eb9f03b9bc23c3419a2b159e12a",
    ),
    AdapterRecipe(
        name="qwen-bd6.4",
        about="qwen-bd6.4-gains and the last official anchor, MBPP/20: nothing that Qwen solves is lost",
        base="qwen-bd6.4-gains",
        adapter="qwen-bd6.4",
        adapter_sha256="211cddd4df20f5e04031c3f94baee3ccc4ba0f2e6613faea4552493a279d2809",
        scale="0.2",
        identity="b95e22b0ee9fa31676a20623929b02879a527b7e4dc734698fa1555e25c6ac6d",
        pack_sha256="5c4498c68b5879d55f896e92680a53690aa997958533334a3d2887d114ad2fc0",
    ),
)
