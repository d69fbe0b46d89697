"""Replicas and traffic that tests size: a large model, prompts of a chat."""

from __future__ import annotations

from hypothesis import strategies as st

from shifter.domain.serving import LatencySlo, Serving, ServingProfile
from shifter.realtime.traffic import Traffic

PROFILE = ServingProfile(prefill_tokens_per_s=10_000, base_ms=30, ms_per_sequence=0.3, max_sequences=64)
SERVING = Serving(PROFILE)
CHAT = Traffic(prompt_tokens=1000, output_tokens=200, prompt_scv=0.9, output_scv=0.6)
CODE = Traffic(prompt_tokens=2000, output_tokens=30, prompt_scv=0.9, output_scv=4.0)
SLO = LatencySlo(ttft_ms=2000, latency_ms=45_000, quantile=0.99)

profiles = st.builds(
    ServingProfile,
    st.floats(1000, 50_000),
    st.floats(1, 60),
    st.floats(0, 2),
    st.integers(1, 128),
    st.none() | st.floats(20_000, 1e6),
)
traffics = st.builds(
    Traffic,
    st.floats(0, 5000),
    st.floats(1, 1000),
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(0, 6),
    st.sampled_from([0.0, 0.05, 1.0]),
)
