"""The boards, as code: what each shows, in the order in which a person asks."""
