"""Judges ceremonies by the library webauthn: one JSON object per line, answered by 1 or 0."""

import json
import sys

from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.cose import COSEAlgorithmIdentifier

ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


def is_accepted(ceremony):
    common = {
        "credential": ceremony["credential"],
        "expected_challenge": base64url_to_bytes(ceremony["challenge"]),
        "expected_rp_id": ceremony["domain"],
        "expected_origin": ceremony["origin"],
        "require_user_verification": True,
    }
    try:
        if "publicKey" in ceremony:
            verify_authentication_response(
                **common,
                credential_public_key=base64url_to_bytes(ceremony["publicKey"]),
                credential_current_sign_count=ceremony["counter"],
            )
        else:
            verify_registration_response(**common, supported_pub_key_algs=ALGORITHMS)
    except Exception:
        return False
    return True


for line in sys.stdin:
    print(int(is_accepted(json.loads(line))), flush=True)
