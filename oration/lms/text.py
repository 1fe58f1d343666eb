"""Bodies from text language models, through transformers: causal decoders in local folders (OPT, LLaMA, Qwen, ...).

The speech LM keeps its own embeddings, heads and start vector; only what lies between comes from transformers.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oration.core import BadInput, optional
from oration.lms.bodies import Transformer


@dataclass(frozen=True)
class TextBody:
    """The decoder of a text LM. `build` gives it random weights; `FromText` and checkpoints bring the trained ones."""

    folder: str
    """In transformers' format (config.json, *.safetensors); read by `build` only while `config` is None."""
    config: str | None = None
    """The text of config.json, so that a checkpoint does not need the folder; `pinned` fills it in."""

    @classmethod
    def tiny(cls) -> Transformer:
        """Small enough for tests: another body, since a text LM has the size it has."""
        return Transformer.tiny()

    def pinned(self) -> TextBody:
        """The same body, independent of the folder: what a checkpoint records."""
        return self if self.config is not None else replace(self, config=read_config(self.folder))

    def build(self) -> TextBodyModel:
        """The body with random weights.

        Raises:
            BadInput: no such folder, or a model that is no causal decoder with positions and a key-value cache.
        """
        auto = optional("transformers", "train", "a text language model's body")
        fields = json.loads(self.pinned().config or "{}")
        kind = fields.pop("model_type", None)
        try:
            config = auto.AutoConfig.for_model(kind, **fields)
            return TextBodyModel(auto.AutoModel.from_config(config, dtype=torch.float32), self.folder)
        except ValueError as wrong:
            raise BadInput(
                f"the text LM in {self.folder} is of the kind {kind!r}, which this version of transformers cannot "
                f"build ({str(wrong).splitlines()[0][:120]}); take another text LM or upgrade transformers"
            ) from wrong


def read_config(folder: str) -> str:
    """The text of a model folder's config.json.

    Raises:
        BadInput: there is none, or it is no JSON object.
    """
    path = Path(folder) / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
        if not isinstance(json.loads(text), dict):
            raise ValueError("not an object")
        return text
    except (OSError, ValueError) as wrong:
        raise BadInput(
            f"{folder!r} is no text LM in transformers' format (config.json: {wrong}); "
            "give a folder with config.json and model.safetensors, downloaded beforehand"
        ) from wrong


class TextPast:
    """Keys and values of a transformers model for `n` sequences, each at its own position."""

    def __init__(self, cache: Any, held: Tensor, length: Tensor) -> None:
        self.cache, self.held, self.length = cache, held, length
        # held, long[n, T]: the position each place of the cache holds; -1 was padding, and nothing looks there.

    def select(self, index: Tensor) -> TextPast:
        """The same past for the sequences `index`."""
        cache = type(self.cache)()
        for number, layer in enumerate(self.cache.layers):
            if layer.is_initialized:
                cache.update(layer.keys[index], layer.values[index], number)
        return TextPast(cache, self.held[index], self.length[index])


class TextBodyModel(nn.Module):
    """`TextBody`, built."""

    def __init__(self, decoder: nn.Module, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.dim: int = 0
        self.context: int | None = getattr(decoder.config, "max_position_embeddings", None)
        """Most positions it knows."""
        self.window: int | None = None
        self.take(decoder)

    def take(self, decoder: Any) -> None:
        """Use this transformers model, and drop its input embeddings: ours stand in front of it.

        Raises:
            BadInput: it lacks what packing and step-by-step generation need.
        """
        accepts = set(inspect.signature(decoder.forward).parameters)
        lacking = {"inputs_embeds", "attention_mask", "position_ids", "past_key_values"} - accepts
        kinds = set(getattr(decoder.config, "layer_types", None) or ())
        if lacking or kinds - {"full_attention", "sliding_attention"}:
            raise BadInput(
                f"the text LM in {self.folder} ({type(decoder).__name__}) cannot be a body: it lacks {sorted(lacking)} "
                f"or has layers other than attention ({sorted(kinds)}); take a decoder-only Transformer"
            )
        table = decoder.get_input_embeddings()
        if isinstance(table, nn.Embedding):
            self.dim = table.embedding_dim
            decoder.set_input_embeddings(nn.Identity())
        self.decoder = decoder

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        if not x.shape[1]:
            return x
        if not bool((segment > 0).any()):
            return self.decoder(inputs_embeds=x, use_cache=False).last_hidden_state
        at = torch.arange(x.shape[1], device=x.device)
        # A padding step looks at the padding before it, so that no step looks nowhere (which gives NaN).
        mask = (segment[:, :, None] == segment[:, None, :]) & (at[:, None] >= at[None])
        return self.decoder(
            inputs_embeds=x,
            position_ids=position,
            attention_mask=self._masks(mask, at[None, :, None] - at[None, None, :], x),
            use_cache=False,
        ).last_hidden_state

    def past(self, n: int, capacity: int) -> TextPast:
        """An empty past; it grows as it is fed."""
        cache = optional("transformers", "train", "a text language model's body").DynamicCache()
        none = torch.zeros(n, 0, dtype=torch.long, device=next(self.parameters()).device)
        return TextPast(cache, none, none.new_zeros(n))

    def extend(self, x: Tensor, past: TextPast, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        position = past.length[:, None] + torch.arange(x.shape[1], device=x.device)
        past.held = torch.cat((past.held, position), 1)
        past.length = past.length + x.shape[1]
        back = position[:, :, None] - past.held[:, None, :]
        y = self.decoder(
            inputs_embeds=x,
            position_ids=position,
            attention_mask=self._masks((back >= 0) & (past.held >= 0)[:, None], back, x),
            past_key_values=past.cache,
            use_cache=True,
        ).last_hidden_state
        if padding is not None and bool(torch.any(padding > 0)):
            past.length = past.length - padding
            past.held = past.held.masked_fill(past.held >= past.length[:, None], -1)
        return y

    def _masks(self, mask: Tensor, back: Tensor, x: Tensor) -> Any:
        """bool[B, S, T] and how far back each step looks -> what this decoder takes as its attention mask."""
        config = self.decoder.config
        window = getattr(config, "sliding_window", None)
        kinds = set(
            getattr(config, "layer_types", None) or (["full_attention"] if window is None else ["sliding_attention"])
        )
        near = mask & (back < window) if window is not None else mask
        masks = {"full_attention": self._mask(mask, x), "sliding_attention": self._mask(near, x)}
        return masks if len(kinds) > 1 else masks[kinds.pop()]

    def _mask(self, mask: Tensor, x: Tensor) -> Tensor:
        mask = mask[:, None]
        if self.decoder.config._attn_implementation == "sdpa":
            return mask
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        return torch.zeros(mask.shape, dtype=dtype, device=x.device).masked_fill(~mask, torch.finfo(dtype).min)
