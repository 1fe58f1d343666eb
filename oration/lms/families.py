"""The text LMs that published speech LMs start from, as the fields of their config.json: sizes without weights.

`TextBody(folder="opt-350m", config=OPT_350M)` builds, on the meta device too, where the folder is not there. Sources:
the papers named at each family, and the config.json published with each model.
"""

from __future__ import annotations

import json
from typing import Any


def _config(fields: dict[str, Any], changes: dict[str, Any]) -> str:
    return json.dumps({**fields, **changes})


_OPT: dict[str, Any] = {
    "model_type": "opt", "vocab_size": 50272, "hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "word_embed_proj_dim": 768, "max_position_embeddings": 2048,
    "do_layer_norm_before": True, "dropout": 0.1, "attention_dropout": 0.0, "activation_function": "relu",
    "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1,
}  # fmt: skip
OPT_125M = _config(_OPT, {})
"""Zhang et al. 2022, arXiv:2205.01068, table 1. TWIST, VoxtLM."""
OPT_350M = _config(
    _OPT,
    {
        "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "word_embed_proj_dim": 512, "do_layer_norm_before": False,
    },
)  # fmt: skip
OPT_1_3B = _config(
    _OPT,
    {
        "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, "num_attention_heads": 32,
        "word_embed_proj_dim": 2048,
    },
)  # fmt: skip

_LLAMA: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
LLAMA_7B = _config(_LLAMA, {})
"""Touvron et al. 2023, arXiv:2302.13971, table 2. TWIST, SpeechGPT."""
LLAMA_13B = _config(
    _LLAMA, {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40,
             "num_key_value_heads": 40},
)  # fmt: skip
LLAMA_2_7B = _config(_LLAMA, {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5})
"""Touvron et al. 2023, arXiv:2307.09288. AnyGPT, SpeechGPT-Gen."""
LLAMA_2_7B_SPIRIT = _config(_LLAMA, {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 100000.0})
"""Nguyen et al. 2024 (SpiRit-LM), arXiv:2402.05755, appendix A: the same with slower rotary positions."""
_LLAMA_3: dict[str, Any] = {
    **_LLAMA, "vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 8192, "rope_theta": 500000.0, "bos_token_id": 128000, "eos_token_id": 128001,
}  # fmt: skip
_LLAMA_3_ROPE = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                 "original_max_position_embeddings": 8192}  # fmt: skip
LLAMA_3_8B = _config(_LLAMA_3, {})
"""Grattafiori et al. 2024, arXiv:2407.21783, table 3. SyncLLM."""
LLAMA_3_1_8B = _config(
    _LLAMA_3, {"max_position_embeddings": 131072, "rope_scaling": {**_LLAMA_3_ROPE, "factor": 8.0}}
)  # fmt: skip
"""LLaMA-Omni, NTPP."""
LLAMA_3_2_1B = _config(
    _LLAMA_3,
    {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64,
        "max_position_embeddings": 131072, "rope_scaling": {**_LLAMA_3_ROPE, "factor": 32.0},
        "tie_word_embeddings": True,
    },
)  # fmt: skip
"""CSM's backbone; SpeechGPT-like models of the size of 1 B."""
LLAMA_3_2_3B = _config(
    _LLAMA_3,
    {
        "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
        "head_dim": 128, "max_position_embeddings": 131072, "rope_scaling": {**_LLAMA_3_ROPE, "factor": 32.0},
        "tie_word_embeddings": True,
    },
)  # fmt: skip

_QWEN_2: dict[str, Any] = {
    "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
    "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu", "tie_word_embeddings": True,
    "bos_token_id": 151643, "eos_token_id": 151643,
}  # fmt: skip
QWEN2_0_5B = _config(_QWEN_2, {})
"""Yang et al. 2024, arXiv:2407.10671, table 1. Mini-Omni, SLAM-Omni, OmniFlatten, Flow-Omni."""
QWEN2_1_5B = _config(
    _QWEN_2, {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12}
)
QWEN2_7B = _config(
    _QWEN_2,
    {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
    },
)  # fmt: skip
"""Freeze-Omni, IntrinsicVoice, VITA-1.5."""
QWEN2_5_0_5B = _config(_QWEN_2, {"max_position_embeddings": 32768})
"""Qwen Team 2024, arXiv:2412.15115; the sizes are Qwen2's. Slam."""
QWEN2_5_0_5B_SLAM = _config(_QWEN_2, {"max_position_embeddings": 32768, "rope_theta": 10000.0})
"""Maimon et al. 2025 (Slam), arXiv:2502.15814, slamkit's config/model/slam.yaml: the same with quicker positions."""
QWEN2_5_1_5B = QWEN2_1_5B
QWEN2_5_3B = _config(
    _QWEN_2,
    {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
     "max_position_embeddings": 32768},
)  # fmt: skip
QWEN2_5_7B = QWEN2_7B
"""Kimi-Audio, Qwen2.5-Omni's thinker, MinMo, MiniCPM-o, LLaMA-Omni 2."""
QWEN_1_8B = _config(
    _QWEN_2,
    {
        "hidden_size": 2048, "intermediate_size": 5504, "num_attention_heads": 16, "num_key_value_heads": 16,
        "max_position_embeddings": 8192, "rope_theta": 10000.0, "tie_word_embeddings": False,
    },
)  # fmt: skip
"""Bai et al. 2023, arXiv:2309.16609, table 1. LauraGPT. The first Qwen is the second's decoder without shared keys."""

GLM_4_9B = json.dumps(
    {
        "model_type": "glm", "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696,
        "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
        "partial_rotary_factor": 0.5, "attention_bias": True, "max_position_embeddings": 8192,
        "rms_norm_eps": 1.5625e-07, "hidden_act": "silu", "tie_word_embeddings": False, "eos_token_id": 151329,
        "pad_token_id": 151329,
    },
)  # fmt: skip
"""Team GLM 2024, arXiv:2406.12793. GLM-4-Voice, Zeng et al."""
HELIUM_7B = _config(
    _LLAMA,
    {"intermediate_size": 11264, "max_position_embeddings": 4096, "rms_norm_eps": 1e-8, "bos_token_id": 1},
)  # fmt: skip
"""Défossez et al. 2024, arXiv:2410.00037, section 3.2 and table 1. Moshi's temporal Transformer."""
MISTRAL_7B = _config(
    _LLAMA,
    {
        "model_type": "mistral", "intermediate_size": 14336, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 32768, "sliding_window": 4096,
    },
)  # fmt: skip
"""Jiang et al. 2023, arXiv:2310.06825, table 1. NTPP."""

_SMALL = {
    "hidden_size": 32, "n_embd": 32, "num_hidden_layers": 2, "n_layer": 2, "num_attention_heads": 4, "n_head": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "ffn_dim": 48, "n_inner": 48, "head_dim": 8, "vocab_size": 64,
    "max_window_layers": 1,
}  # fmt: skip


def shrunk(config: str | None) -> str:
    """A config.json of the same family, small enough for tests. None: LLaMA's family."""
    fields = json.loads(config or LLAMA_7B)
    small = {name: _SMALL.get(name, value) for name, value in fields.items() if not name.endswith("_token_id")}
    small["pad_token_id"] = None
    projected = fields.get("word_embed_proj_dim", fields.get("hidden_size"))
    if "word_embed_proj_dim" in fields:  # OPT-350M's embeddings are narrower than its layers
        small["word_embed_proj_dim"] = 32 if projected == fields["hidden_size"] else 16
    if isinstance(fields.get("layer_types"), list):
        small["layer_types"] = fields["layer_types"][:2]
    return json.dumps(small)
