"""Find the weights of a backbone (a file, the local cache, a download) and load them safely.

Only safetensors and ``torch.load(weights_only=True)`` are ever used, so that a weights file cannot
run code. Finding out that there is no network takes at most five seconds.
"""

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paint_search.errors import BackboneError, argument

if TYPE_CHECKING:
    import torch

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_NETWORK_PATIENCE = 4.0  # seconds


def cached_weights(hub: str) -> Path | None:
    """Return the file of this hub repository from the local cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    for name in _HUB_FILES:
        found = try_to_load_from_cache(hub, name)
        if isinstance(found, str):
            return Path(found)
    return None


def download_weights(hub: str) -> Path:
    """Download the weights of this hub repository into the local cache, with a progress bar.

    Raises:
        BackboneError: the hub cannot be reached (found out within five seconds), or lacks them.
    """
    from huggingface_hub import hf_hub_download

    name = _published_file(hub)
    try:
        return Path(hf_hub_download(hub, name))
    except Exception as error:  # the hub's client passes on errors of every library below it
        raise BackboneError(f"the weights of {hub} could not be downloaded: {error}") from error


def _published_file(hub: str) -> str:
    """Ask the hub which weights file it has, in a thread: name look-ups know no time-out."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    found: list[str] = []
    reason = "cannot be reached"

    def ask() -> None:
        nonlocal reason
        for name in _HUB_FILES:
            try:
                get_hf_file_metadata(hf_hub_url(hub, name), timeout=_NETWORK_PATIENCE)
            except EntryNotFoundError:
                continue
            except Exception:  # whatever it is, there is no download to be had
                return
            found.append(name)
            return
        reason = "has no such weights"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_NETWORK_PATIENCE)
    if found:
        return found[0]
    raise BackboneError(
        f"the weights of {hub} are not on this machine and the model hub {reason}; "
        f"give them with {argument('weights')}, or use {argument('backbone', 'builtin')}"
    )


def fingerprint(file: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_weights(model: "torch.nn.Module", file: Path) -> None:
    """Load ``file`` into ``model``, whose classifier layer was left out.

    Args:
        model: a timm model made with ``num_classes=0``.
        file: a ``.safetensors`` file, or a ``.pth`` / ``.bin`` read with ``weights_only=True``.

    Raises:
        BackboneError: no such file, not weights, would run code, or of another architecture.
    """
    state = _read_state(file)
    own = model.state_dict()
    parts = {name.partition(".")[0] for name in own}  # others, such as heads, are left out
    missing = [name for name in own if name not in state and "num_batches_tracked" not in name]
    unknown = [name for name in state if name not in own and name.partition(".")[0] in parts]
    reshaped = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or unknown or reshaped:
        example = (missing or unknown or reshaped)[0]
        raise BackboneError(
            f"{file} holds weights of another architecture: {len(missing)} layers are missing, "
            f"{len(unknown)} unknown, {len(reshaped)} of another shape (first: {example}); "
            f"name the model they belong to with {argument('backbone', 'timm:NAME')}"
        )
    broken = next((name for name in own if name in state and not _finite(state[name])), None)
    if broken is not None:
        raise BackboneError(
            f"{file} is damaged: {broken} holds numbers that are not finite; get the file anew"
        )
    model.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def save_weights(model: "torch.nn.Module", file: Path) -> None:
    """Write a model's weights as safetensors."""
    from safetensors.torch import save_model

    save_model(model, str(file))


def _finite(weights: "torch.Tensor") -> bool:
    return bool(weights.isfinite().all())


def _read_state(file: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise BackboneError(f"there is no weights file {file}; check {argument('weights')}")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise BackboneError(f"{file} is not a safetensors file: {error}") from error
    except Exception as error:  # torch raises nearly anything on a file that is not weights
        raise BackboneError(
            f"{file} was refused: it is not a plain file of weights (loading it could run code); "
            "convert it to safetensors"
        ) from error
    for key in ("state_dict", "model", "state_dict_ema"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise BackboneError(f"{file} holds no mapping of layer names to weights")
    return {name.removeprefix("module."): value for name, value in state.items()}
