"""Tokens that services issue with a prefix of their own: the table, and their positions in a text.

The facts (prefix, alphabet, length) are those that the services document and gitleaks lists
(https://github.com/gitleaks/gitleaks, config/gitleaks.toml, MIT); `tools/compare_gitleaks.py` names what we lack.
Lengths are lower bounds, and lower than documented where the prefix alone is distinctive: a log may cut a token.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator
from typing import Final, NamedTuple

from blogauto_otel._lazy_pattern import lazy_pattern

ALPHANUMERIC: Final = "A-Za-z0-9"
URL_SAFE: Final = r"A-Za-z0-9_\-"
BASE64: Final = "A-Za-z0-9+/="
LOWER: Final = "a-z0-9"
UPPER: Final = "A-Z0-9"
HEX: Final = "a-f0-9"
UUID: Final = r"a-f0-9\-"
DOTTED: Final = r"A-Za-z0-9_.=\-"


class Issuer(NamedTuple):
    """Prefixes of one service, and what follows them.

    Attributes:
        service: The service that issues the token.
        prefixes: The beginning of the token; plain text.
        characters: The characters that follow, as the inside of a character class.
        least: How many of them follow at least.
    """

    service: str
    prefixes: tuple[str, ...]
    characters: str
    least: int


# fmt: off
ISSUERS: Final = (
    # --- clouds and hosting ---
    Issuer("Alibaba Cloud", ("LTAI",), ALPHANUMERIC, 16),
    Issuer("Aiven", ("AVNS_",), URL_SAFE, 15),
    Issuer("Amazon", ("amzn.mws.",), UUID, 32),
    Issuer("Amazon", ("amzn1.oa2-cs.v1.",), HEX, 32),
    Issuer("Amazon Bedrock", ("ABSK",), BASE64, 60),
    Issuer("Amazon Bedrock", ("bedrock-api-key-",), BASE64, 20),
    Issuer("Amazon STS", ("IQoJb3JpZ2lu", "FwoGZXIvYXdz"), BASE64, 20),
    Issuer("Cloudflare", ("v1.0-",), UUID, 60),
    Issuer("ClickHouse Cloud", ("4b1d",), ALPHANUMERIC, 38),
    Issuer("CockroachDB", ("CCDB1_",), URL_SAFE, 20),
    Issuer("Databricks", ("dapi",), HEX, 32),
    Issuer("DigitalOcean", ("dop_v1_", "doo_v1_", "dor_v1_"), HEX, 16),
    Issuer("Fly.io", ("fo1_", "fm1a_", "fm1r_", "fm2_"), r"A-Za-z0-9_+/=,\-", 40),
    Issuer("Google", ("AIza",), URL_SAFE, 20),
    Issuer("Google", ("AQ.", "ya29."), DOTTED, 20),
    Issuer("Google", ("GOCSPX-",), URL_SAFE, 10),
    Issuer("Google", ("GOOG1E",), UPPER, 40),
    Issuer("Heroku", ("HRKU-",), URL_SAFE, 30),
    Issuer("MongoDB Atlas", ("mdb_sa_sk_",), URL_SAFE, 20),
    Issuer("Neon", ("napi_",), LOWER, 40),
    Issuer("Netlify", ("nfp_", "nfc_", "nfo_", "nfu_", "nfb_"), ALPHANUMERIC, 36),
    Issuer("Azure, OpenShift", ("sha256~",), URL_SAFE, 40),
    Issuer("PlanetScale", ("pscale_tkn_", "pscale_oauth_", "pscale_pw_"), DOTTED, 20),
    Issuer("Render", ("rnd_",), ALPHANUMERIC, 28),
    Issuer("Scalingo", ("tk-us-",), URL_SAFE, 40),
    Issuer("Supabase", ("sbp_",), HEX, 40),
    Issuer("Supabase", ("sb_secret_",), URL_SAFE, 20),
    Issuer("Tailscale", ("tskey-auth-", "tskey-api-", "tskey-client-", "tskey-scim-"), URL_SAFE, 16),
    Issuer("Tencent Cloud", ("AKID",), ALPHANUMERIC, 32),
    Issuer("Vercel", ("vercel_blob_rw_", "vcp_", "vci_", "vca_", "vcr_", "vck_"), r"A-Za-z0-9_", 24),
    Issuer("Xata", ("xau_",), ALPHANUMERIC, 30),
    Issuer("Yandex", ("AQVN",), URL_SAFE, 35),
    # --- source code, builds, packages, secrets of infrastructure ---
    Issuer("1Password", ("ops_eyJ",), BASE64, 40),
    Issuer("1Password", ("A3-",), r"A-Z0-9\-", 30),
    Issuer("age", ("AGE-SECRET-KEY-1",), UPPER, 40),
    Issuer("Airtable", ("pat",), "A-Za-z0-9.", 76),
    Issuer("Apify", ("apify_api_",), ALPHANUMERIC, 30),
    Issuer("Atlassian", ("ATATT3", "ATCTT3", "ATSTT3"), DOTTED, 40),
    Issuer("Bitbucket", ("ATBB",), ALPHANUMERIC, 28),
    Issuer("Buildkite", ("bkua_", "bkat_", "bkct_", "bkpt_"), ALPHANUMERIC, 32),
    Issuer("CircleCI", ("CCIPAT_", "CCIPRJ_"), r"A-Za-z0-9_", 20),
    Issuer("Clojars", ("CLOJARS_",), ALPHANUMERIC, 40),
    Issuer("Contentful", ("CFPAT-",), URL_SAFE, 40),
    Issuer("crates.io", ("cio",), ALPHANUMERIC, 32),
    Issuer("Defined Networking", ("dnkey-",), URL_SAFE, 40),
    Issuer("Docker", ("dckr_pat_", "dckr_oat_"), URL_SAFE, 16),
    Issuer("Doppler", ("dp.pt.", "dp.st.", "dp.sa.", "dp.ct.", "dp.scim.", "dp.audit."), r"A-Za-z0-9_.\-", 36),
    Issuer("E2B", ("e2b_",), HEX, 32),
    Issuer("Figma", ("figd_", "figo_"), URL_SAFE, 16),
    Issuer("GitHub", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"A-Za-z0-9_", 16),
    Issuer("GitHub", ("github_pat_",), r"A-Za-z0-9_", 16),
    Issuer("GitLab", (
        "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-",
    ), r"A-Za-z0-9_.\-", 10),
    Issuer("GitLab", ("GR1348941",), URL_SAFE, 16),
    Issuer("Harness", ("pat.", "sat."), r"A-Za-z0-9_.\-", 60),
    Issuer("HashiCorp Vault", ("hvs.", "hvb.", "hvr."), DOTTED, 20),
    Issuer("Infracost", ("ico-",), ALPHANUMERIC, 32),
    Issuer("JFrog", ("AKCp", "cmVmd"), ALPHANUMERIC, 50),
    Issuer("LaunchDarkly", ("sdk-", "mob-", "api-"), UUID, 36),
    Issuer("Linear", ("lin_api_", "lin_oauth_"), ALPHANUMERIC, 16),
    Issuer("Notion", ("ntn_",), ALPHANUMERIC, 16),
    Issuer("Notion", ("secret_",), ALPHANUMERIC, 40),
    Issuer("npm", ("npm_",), ALPHANUMERIC, 30),
    Issuer("NuGet", ("oy2",), LOWER, 43),
    Issuer("Octopus Deploy", ("API-",), UPPER, 25),
    Issuer("Postman", ("PMAK-",), UUID, 24),
    Issuer("Prefect", ("pnu_", "pnb_"), ALPHANUMERIC, 30),
    Issuer("Pulumi", ("pul-",), HEX, 40),
    Issuer("PyPI", ("pypi-",), URL_SAFE, 16),
    Issuer("ReadMe", ("rdme_",), LOWER, 40),
    Issuer("RubyGems", ("rubygems_",), HEX, 40),
    Issuer("SettleMint", ("sm_aat_", "sm_pat_", "sm_sat_"), ALPHANUMERIC, 16),
    Issuer("SonarQube", ("squ_", "sqp_", "sqa_"), HEX, 40),
    Issuer("Sourcegraph", ("sgp_",), r"a-f0-9_", 40),
    # --- monitoring ---
    Issuer("Dynatrace", ("dt0c01.", "dt0s01.", "dt0s16."), r"A-Z0-9.", 24),
    Issuer("Grafana", ("glsa_", "glc_"), r"A-Za-z0-9_+/=", 16),
    Issuer("Honeycomb", ("hcaik_", "hcbik_", "hcxik_", "hcaic_", "hcamk_"), LOWER, 40),
    Issuer("LangSmith", ("lsv2_pt_", "lsv2_sk_"), r"a-f0-9_", 32),
    Issuer("Langfuse", ("sk-lf-",), UUID, 32),
    Issuer("Logfire", ("pylf_v1_",), r"A-Za-z0-9_", 30),
    Issuer("New Relic", ("NRAK-", "NRII-", "NRJS-", "NRIQ-"), URL_SAFE, 16),
    Issuer("Sentry", ("sntrys_", "sntryu_", "sntryi_", "sntrya_"), r"A-Za-z0-9_+/=", 16),
    Issuer("Weights & Biases", ("wandb_v1_",), r"A-Za-z0-9_", 40),
    # --- messages ---
    Issuer("Adobe", ("p8e-",), LOWER, 32),
    Issuer("Brevo", ("xkeysib-", "xsmtpsib-"), r"A-Za-z0-9\-", 16),
    Issuer("Facebook", ("EAAC", "EAAM", "EAAG", "EAAB"), ALPHANUMERIC, 60),
    Issuer("Frame.io", ("fio-u-",), DOTTED, 40),
    Issuer("HubSpot", ("pat-na1-", "pat-na2-", "pat-eu1-", "pat-ap1-"), UUID, 32),
    Issuer("Mailgun", ("key-",), HEX, 32),
    Issuer("Mailchimp Transactional", ("md-",), URL_SAFE, 22),
    Issuer("Resend", ("re_",), r"A-Za-z0-9_", 30),
    Issuer("SendGrid", ("SG.",), r"A-Za-z0-9_.\-", 20),
    Issuer("Slack", (*(f"xox{letter}-" for letter in "abcdeoprs"), "xoxe.xoxb-", "xoxe.xoxp-", "xapp-"), URL_SAFE, 10),
    Issuer("Twilio", ("SK",), HEX, 32),
    Issuer("Typeform", ("tfp_",), r"A-Za-z0-9_=.\-", 40),
    Issuer("Zendesk, intra42", ("s-s4t2ud-", "s-s4t2af-"), HEX, 40),
    # --- payments and shops ---
    Issuer("Duffel", ("duffel_live_", "duffel_test_"), URL_SAFE, 30),
    Issuer("EasyPost", ("EZAK", "EZTK"), ALPHANUMERIC, 54),
    Issuer("Flutterwave", ("FLWSECK-", "FLWSECK_TEST-"), r"A-Za-z0-9\-", 12),
    Issuer("Lob, Mollie, GoCardless", ("live_", "test_"), URL_SAFE, 30),
    Issuer("Plaid", ("access-production-", "access-development-", "access-sandbox-"), UUID, 32),
    Issuer("Polar", ("polar_oat_", "polar_pat_"), ALPHANUMERIC, 20),
    Issuer("Razorpay", ("rzp_live_", "rzp_test_"), ALPHANUMERIC, 12),
    Issuer("Shippo", ("shippo_live_", "shippo_test_"), HEX, 32),
    Issuer("Shopify", ("shpat_", "shpca_", "shppa_", "shpss_"), ALPHANUMERIC, 16),
    Issuer("Square", ("sq0atp-", "sq0csp-", "EAAA"), URL_SAFE, 22),
    Issuer("Stripe", (
        "sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_", "pk_live_", "pk_test_",
        "sk_org_live_", "sk_org_test_", "whsec_",
    ), r"A-Za-z0-9+/=", 10),
    Issuer("Toss Payments", ("live_sk_", "test_sk_", "live_gsk_", "test_gsk_"), ALPHANUMERIC, 16),
    # --- models ---
    Issuer("Cerebras", ("csk-",), LOWER, 40),
    Issuer("ElevenLabs", ("sk_",), HEX, 40),
    Issuer("Firecrawl", ("fc-",), HEX, 30),
    Issuer("Fireworks", ("fw_",), ALPHANUMERIC, 20),
    Issuer("Groq", ("gsk_",), ALPHANUMERIC, 16),
    Issuer("Hugging Face", ("hf_",), ALPHANUMERIC, 24),
    Issuer("Hugging Face", ("api_org_",), ALPHANUMERIC, 30),
    Issuer("Jina", ("jina_",), URL_SAFE, 40),
    Issuer("LlamaCloud", ("llx-",), URL_SAFE, 40),
    Issuer("NVIDIA", ("nvapi-",), URL_SAFE, 10),
    Issuer("OpenAI, Anthropic and others", ("sk-",), URL_SAFE, 16),
    Issuer("Perplexity", ("pplx-",), URL_SAFE, 16),
    Issuer("Pinecone", ("pcsk_",), r"A-Za-z0-9_", 16),
    Issuer("Replicate", ("r8_",), ALPHANUMERIC, 30),
    Issuer("RunPod", ("rpa_",), ALPHANUMERIC, 36),
    Issuer("Tavily", ("tvly-",), URL_SAFE, 10),
    Issuer("Together", ("tgp_v1_",), URL_SAFE, 20),
    Issuer("Voyage", ("pa-",), URL_SAFE, 40),
    Issuer("xAI", ("xai-",), URL_SAFE, 16),
)
# fmt: on

_KEY_LENGTH: Final = 2
_BY_START: Final[dict[str, list[re.Pattern[str]]]] = {}
for _issuer in ISSUERS:
    for _prefix in _issuer.prefixes:
        _BY_START.setdefault(_prefix[:_KEY_LENGTH], []).append(
            lazy_pattern(rf"{re.escape(_prefix)}[{_issuer.characters}]{{{_issuer.least},}}")
        )
PREFIXES: Final = tuple(dict.fromkeys(prefix for issuer in ISSUERS for prefix in issuer.prefixes))
# The end or the middle of a prefix, followed by ten characters of a token.
_CANDIDATE: Final = lazy_pattern(
    r"[_.~AVGKJ-](?=[A-Za-z0-9+/]|(?<=[.~])[_-])(?:(?<=[_-])(?=[a-z]{0,30}[0-9A-Z]|[a-z]{30})(?=[A-Za-z0-9_+/=-]{10})"
    r"|(?<=[.~])(?=[A-Za-z0-9_-]{10})(?=[a-z]{0,30}[0-9A-Z])|(?<=[AVGKJ])[A-Za-z0-9+/]{10})"
)
# `refresh token a1B2...`: a random word of 20 characters after the name of a secret.
AFTER_NAME: Final = lazy_pattern(
    r"(?P<keep>\b(?i:token|secret|api[ _-]?key|session(?: id)?)[ \t]{1,8}[\"']?)"
    r"(?=[^A-Z\s]{0,64}[A-Z])(?=[^a-z\s]{0,64}[a-z])(?=[^0-9\s]{0,64}[0-9])[A-Za-z0-9_-]{20,}"
)
NAMES_BEFORE: Final = ("oken ", "OKEN ", "ecret ", "ey ", "EY ", "ession ", "ion id ")
REFRESH: Final = lazy_pattern(r"(?<![\w/])1//0[\w-]{20,}", re.ASCII)  # Google's
_OTHERS: Final = (  # what `_CANDIDATE` does not find: no separator, no capital letter
    *(
        (prefix, lazy_pattern(rf"{prefix}(?<![A-Za-z0-9]{prefix})[A-Za-z0-9]{{32}}"))
        for prefix in ("dapi", "cio", "oy2", "4b1d")
    ),
    ("1//0", REFRESH),
    *((name, AFTER_NAME) for name in NAMES_BEFORE),
)
# Tokens of Discord bots have no prefix, but a format: the first part is the bot's number in base64.
_DISCORD: Final = lazy_pattern(r"[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])", re.ASCII)
for _first, _second in itertools.product("MNO", string.ascii_letters + string.digits):
    _BY_START.setdefault(_first + _second, []).append(_DISCORD)


def _heads() -> re.Pattern[str]:
    """The first characters of a prefix, without a letter or digit before them; they make the search quick."""
    behind: dict[str, str] = {}
    for start in sorted(_BY_START):
        behind[start[0]] = behind.get(start[0], "") + re.escape(start[1:])
    branches = "|".join(f"{first}[{seconds}]" for first, seconds in behind.items())
    return lazy_pattern(rf"(?:{branches})(?<![A-Za-z0-9]..)")


_HEAD: Final = _heads()
_RANDOM: Final = lazy_pattern(r"[0-9]|[a-z][A-Z]|[A-Z]{2}[a-z]|[a-z]{28}")


def may_hold_token(text: str) -> bool:
    """Whether the text may contain a token; a false yes is possible, a false no is not."""
    if _CANDIDATE.search(text) is not None:
        return True
    return any(prefix in text and pattern.search(text) is not None for prefix, pattern in _OTHERS)


def issued_in(text: str) -> Iterator[tuple[int, int]]:
    """The positions of tokens with a known prefix; linear, because no part of a token is read twice."""
    position = 0
    while (start := _HEAD.search(text, position)) is not None:
        position = start.end()
        for pattern in _BY_START[start[0]]:
            found = pattern.match(text, start.start())
            if found is not None:
                position = found.end()
                if is_random(found[0]):
                    yield found.span()
                break


def is_random(token: str) -> bool:
    """False for names such as `sk-learn-compatible`: an issued token has digits or changes case within."""
    return _RANDOM.search(token, min(8, len(token) // 2)) is not None
