"""An entry for the users' file: `python new_user.py dana acme billing_lead > users.json` asks for the password."""

import hashlib
import json
import secrets
import sys
from getpass import getpass


def entry(password: str, tenant: str, roles: list[str]) -> dict[str, object]:
    """What the approvals keep of somebody: no password."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
    return {"tenant": tenant, "roles": roles, "salt": salt.hex(), "scrypt": digest.hex()}


if __name__ == "__main__":
    name, tenant, *roles = sys.argv[1:]
    print(json.dumps({name: entry(getpass("Password: "), tenant, roles)}))
