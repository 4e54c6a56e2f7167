"""Pictures of the boards, drawn by Grafana's Apache-licensed components in a headless browser, without a Grafana."""
