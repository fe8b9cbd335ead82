"""Authlib as the relying party: its metadata classes, its session, and its ID token claims judge what Portico answers."""

import unittest

from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc8414 import get_well_known_url as oauth_url
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from authlib.oidc.discovery import get_well_known_url as openid_url
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from browser import Browser
from stand import Stand, fetch

stand = Stand()
setUpModule = stand.start
tearDownModule = stand.stop


class AuthlibTest(unittest.TestCase):
    """What each test needs of the running Portico."""

    def setUp(self):
        self.issuer = stand.facts["issuer"]
        self.metadata = OpenIDProviderMetadata(fetch(openid_url(self.issuer, external=True)))

    def session(self, name, scope="openid profile email"):
        registration = stand.facts["clients"][name]
        return OAuth2Session(
            registration["client_id"],
            registration.get("client_secret"),
            token_endpoint_auth_method=registration["token_endpoint_auth_method"],
            scope=scope,
            redirect_uri=stand.facts["callback"],
            code_challenge_method="S256",
        )

    def log_in(self, session, person="jo"):
        """The code flow; answers the token response and the nonce that its ID token must have."""
        nonce, verifier = generate_token(), generate_token(48)
        url, state = session.create_authorization_url(self.metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier)
        answer = Browser().log_in(url, stand.facts["people"][person], stand.facts["callback"])
        token = session.fetch_token(self.metadata["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier)
        return token, nonce

    def id_token(self, token, client_id, nonce=None):
        """The claims of an ID token whose signature and whose claims Authlib has found good."""
        keys = KeySet.import_key_set(fetch(self.metadata["jwks_uri"]))
        algorithms = self.metadata["id_token_signing_alg_values_supported"]
        decoded = jwt.decode(token["id_token"], keys, algorithms=algorithms)
        params = {"client_id": client_id, "access_token": token["access_token"], "nonce": nonce}
        options = {
            "iss": {"essential": True, "values": [self.issuer]},
            "aud": {"essential": True, "values": [client_id]},
            "at_hash": {"essential": True},
        }
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate()
        return claims


class Discovery(AuthlibTest):
    def test_the_documents_of_both_well_known_paths_are_valid(self):
        self.metadata.validate()
        oauth = AuthorizationServerMetadata(fetch(oauth_url(self.issuer, external=True)))
        oauth.validate()
        self.assertEqual(dict(oauth), dict(self.metadata))


class Login(AuthlibTest):
    def test_a_public_client_gets_an_id_token_about_a_member(self):
        session = self.session("public")
        token, nonce = self.log_in(session)
        claims = self.id_token(token, session.client_id, nonce)
        self.assertTrue(claims["sub"])

    def test_each_kind_of_confidential_client_does(self):
        for name in ("basic", "post"):
            with self.subTest(name):
                session = self.session(name)
                token, nonce = self.log_in(session)
                self.id_token(token, session.client_id, nonce)

    def test_a_user_of_aim18_logs_in_by_redirect(self):
        session = self.session("public")
        token, nonce = self.log_in(session, "ann")
        self.id_token(token, session.client_id, nonce)
        userinfo = session.get(self.metadata["userinfo_endpoint"]).json()
        self.assertEqual(userinfo["name"], "Ann Lee")

    def test_userinfo_is_about_the_subject_of_the_id_token(self):
        session = self.session("public")
        token, nonce = self.log_in(session)
        userinfo = session.get(self.metadata["userinfo_endpoint"])
        userinfo.raise_for_status()
        self.assertEqual(userinfo.json()["sub"], self.id_token(token, session.client_id, nonce)["sub"])
        self.assertEqual(userinfo.json()["email"], "j.smith@example.org")

    def test_a_signature_that_was_touched_is_not_good(self):
        session = self.session("public")
        token, nonce = self.log_in(session)
        head, payload, signature = token["id_token"].split(".")
        other = "A" if signature[10] != "A" else "B"
        touched = {**token, "id_token": f"{head}.{payload}.{signature[:10]}{other}{signature[11:]}"}
        with self.assertRaises(BadSignatureError):
            self.id_token(touched, session.client_id, nonce)


class Refresh(AuthlibTest):
    def test_a_refresh_gives_new_tokens_about_the_same_login(self):
        for name in ("public", "basic", "post"):
            with self.subTest(name):
                session = self.session(name, "openid profile email offline_access")
                token, nonce = self.log_in(session)
                before = self.id_token(token, session.client_id, nonce)
                renewed = session.refresh_token(self.metadata["token_endpoint"], refresh_token=token["refresh_token"])
                self.assertNotEqual(renewed["access_token"], token["access_token"])
                # OpenID Connect Core 12.2: the same subject and login, and it should have no nonce.
                after = self.id_token(renewed, session.client_id)
                self.assertEqual((after["sub"], after["auth_time"]), (before["sub"], before["auth_time"]))


class ClientCredentials(AuthlibTest):
    def test_a_server_with_no_user_gets_a_token_for_its_api(self):
        session = self.session("service", "reports:read")
        token = session.fetch_token(self.metadata["token_endpoint"], grant_type="client_credentials")
        keys = KeySet.import_key_set(fetch(self.metadata["jwks_uri"]))
        decoded = jwt.decode(token["access_token"], keys, algorithms=self.metadata["id_token_signing_alg_values_supported"])
        self.assertEqual(decoded.header["typ"], "at+jwt")
        self.assertEqual(decoded.claims["scope"], "reports:read")

    def test_a_wrong_secret_gets_none(self):
        session = self.session("service", "reports:read")
        session.client_secret += "x"
        with self.assertRaises(OAuthError) as refused:
            session.fetch_token(self.metadata["token_endpoint"], grant_type="client_credentials")
        self.assertEqual(refused.exception.error, "invalid_client")


class Tokens(AuthlibTest):
    def test_a_client_looks_at_its_token_and_gives_it_back(self):
        session = self.session("basic", "openid profile email offline_access")
        token, _ = self.log_in(session)
        look = lambda: session.introspect_token(self.metadata["introspection_endpoint"], token=token["access_token"]).json()
        seen = look()
        self.assertTrue(seen["active"])
        self.assertEqual(seen["client_id"], session.client_id)
        answer = session.revoke_token(self.metadata["revocation_endpoint"], token=token["access_token"], token_type_hint="access_token")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(look(), {"active": False})

    def test_a_refresh_token_that_was_given_back_renews_nothing(self):
        session = self.session("public", "openid offline_access")
        token, _ = self.log_in(session)
        answer = session.revoke_token(self.metadata["revocation_endpoint"], token=token["refresh_token"])
        self.assertEqual(answer.status_code, 200)
        with self.assertRaises(OAuthError) as refused:
            session.refresh_token(self.metadata["token_endpoint"], refresh_token=token["refresh_token"])
        self.assertEqual(refused.exception.error, "invalid_grant")


if __name__ == "__main__":
    unittest.main()
