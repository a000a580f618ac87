"""``sightline models pack | keygen | device``, and what `show` says of a sealed file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import ModelError
from pipeline.models import find, load_model, prove
from pipeline.models.sealed import Access, fingerprint, inspect, pack, require_trust
from pipeline.models.sealed.container import Header
from pipeline.models.sealed.crypto import new_key, public_key
from pipeline.models.sealed.keys import write_key

_SOURCE = "env:NAME, file:PATH or command:PROGRAM"
Key = Annotated[
    str, typer.Option(help=f"Where the key of an encrypted package is: {_SOURCE}. By default "
                           "what SIGHTLINE_MODEL_KEY says.")
]  # fmt: skip
Signers = Annotated[
    str, typer.Option("--signer", help="Trusted public key: ed25519-public:…, or where such keys "
                                       f"are: {_SOURCE}. By default SIGHTLINE_MODEL_SIGNERS.")
]  # fmt: skip


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to ``sightline models``."""
    app.command("pack")(_pack)
    app.command("keygen")(_keygen)
    app.command("device")(_device)


def facts(path: Path, signers: str) -> dict[str, Any]:
    """What a sealed file says about itself to anybody, and whether it would be taken here."""
    container = inspect(path)
    header, access = container.header, Access.given(signers=signers)
    state = "sealed"
    try:
        require_trust(header, access.signers)
        if header.licence:
            header.licence.require_valid(access.now)
    except ModelError as error:
        state = f"refused: {error}"
    written = header.model_dump(mode="json", by_alias=True, exclude_unset=True)
    manifest = written.pop("manifest")
    return {**manifest, "state": state, "sha256": container.digest.hex(), "sealed": written}


def seal(header: Header) -> str:
    """In a few words, how a file is sealed."""
    encrypted = f"encrypted with key {header.encryption.key_id}" if header.encryption else "open"
    signed = f"signed by {header.signer}" if header.signer else "not signed"
    return f"{encrypted}, {signed}"


def _pack(
    model: Annotated[str, typer.Argument(help="A model's folder, or its name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, NAME.slm.")],
    encrypt_key: Annotated[
        str, typer.Option(help=f"Encrypts the files with the key aes-256:… from {_SOURCE}.")
    ] = "",
    sign_key: Annotated[
        str, typer.Option(help=f"Signs with the key ed25519-private:… from {_SOURCE}.")
    ] = "",
    licence: Annotated[
        Path | None, typer.Option(help="A YAML file: whom, where, how long, for how much.")
    ] = None,
) -> None:
    """Makes one sealed file of a model: its manifest, all its variants and its test vector."""
    if output.suffix != ".slm":
        raise ModelError(f"{output}: a sealed package is known by its suffix; write {output}.slm")
    package = load_model(model)
    if package.manifest.test_vector:
        prove(package)
    header = pack(find(model), output, key=encrypt_key, signing_key=sign_key, licence=licence)
    typer.echo(f"{output}: {len(header.files)} files, {seal(header)}")


def _keygen(
    file: Annotated[Path, typer.Argument(help="A new file for the key, readable by you alone.")],
    sign: Annotated[
        bool, typer.Option("--sign", help="A key to sign with; its public half goes to FILE.pub.")
    ] = False,
) -> None:
    """Makes a new key, to encrypt packages with or to sign them with."""
    key = new_key("ed25519-private" if sign else "aes-256")
    if sign:
        public = public_key(key)
        write_key(file, key)
        write_key(file.with_name(file.name + ".pub"), public)
        typer.echo(f"{file}: signs as {public.text}")
    else:
        write_key(file, key)
        typer.echo(f"{file}: encrypts as key {key.id}")


def _device() -> None:
    """Says what a licence calls this machine."""
    typer.echo(fingerprint())
