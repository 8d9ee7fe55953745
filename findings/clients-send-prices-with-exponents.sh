#!/usr/bin/env bash
# Guess: a client library that takes a price as a float writes it the way the exchange wants a decimal, also below 0.0001:
# the exchange's own libraries surely do, and the price of a coin in 0.00001 is an ordinary one there.
# What happens: the older connector of the exchange, its newer SDK and the library most people use all send the text that
# Python has for a float: price=1e-05, and a quantity of 1e16 as 1e%2B16. The newer SDK declares the parameter as a float;
# given a Decimal against its own annotation it sends 0.0000005 as it stands.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check binance-futures-connector==4.2.0 python-binance==1.0.37 \
    binance-sdk-derivatives-trading-usds-futures==18.1.0
"$folder/venv/bin/python" - <<'EOF'
import http.server
import inspect
import threading
from decimal import Decimal
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

from binance.client import Client
from binance.um_futures import UMFutures
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    DerivativesTradingUsdsFutures,
)

ANSWER = b'{"orderId": 1, "serverTime": 1, "symbols": []}'
seen = []


class Exchange(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        seen.append(parse_qs(urlsplit(self.path).query or body))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
older = UMFutures(key="key", secret="secret", base_url=base)
newer = DerivativesTradingUsdsFutures(
    config_rest_api=ConfigurationRestAPI(api_key="key", api_secret="secret", base_path=base)
).rest_api
common = Client("key", "secret", ping=False)
common.FUTURES_URL = f"{base}/fapi"
ways = {
    "binance-futures-connector": lambda **order: older.new_order(timeInForce="GTC", **order),
    "binance-sdk-derivatives-trading-usds-futures": lambda **order: newer.new_order(time_in_force="GTC", **order),
    "python-binance": lambda **order: common.futures_create_order(timeInForce="GTC", **order),
}
for name, send in ways.items():
    send(symbol="XUSDT", side="BUY", type="LIMIT", price=0.00001, quantity=1e16)
    price, quantity = seen[-1]["price"], seen[-1]["quantity"]
    print(name, version(name), "price", *price, "quantity", *quantity)
    assert (price, quantity) == (["1e-05"], ["1e+16"])
ways["binance-sdk-derivatives-trading-usds-futures"](
    symbol="XUSDT", side="BUY", type="LIMIT", price=Decimal("0.0000005"), quantity=Decimal(100)
)
print("the newer SDK, given a Decimal:", *seen[-1]["price"])
assert seen[-1]["price"] == ["0.0000005"]
assert "float" in str(inspect.signature(newer.new_order).parameters["price"].annotation)
EOF
