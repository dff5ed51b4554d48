"""The servers with TLS: the same programs, with one certificate for all."""

import subprocess

import peers


def certificate(work):
    """ECDSA P-256, made once for each folder; returns the names of certificate and key."""
    names = work.parent / "certificate.pem", work.parent / "key.pem"
    if not names[1].exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-keyout", names[1], "-out", names[0]],
                       check=True, capture_output=True)
        names[1].chmod(0o644)  # mosquitto gives up its rights before it reads the key
    return names


class Chatd(peers.Chatd):
    secure = True
    listening = r"^listening on tls://127\.0\.0\.1:(\d+)$"

    def config(self, work):
        path = super().config(work)
        cert, key = certificate(work)
        path.write_text(path.read_text().replace('"127', '"tls://127')
                        + f'tls = {{ certificate = "{cert}"; key = "{key}"; }};\n')
        return path


class SendLoop(peers.SendLoop):
    secure = True
    settings = "the limit: SSL_read, then one blocking SSL_write to each listener"

    def argv(self, program, work, port, clients, many):
        return super().argv(program, work, port, clients, many) + [*certificate(work)]


class Ncat(peers.Ncat):
    secure = True

    def argv(self, program, work, port, clients, many):
        cert, key = certificate(work)
        return super().argv(program, work, port, clients, many) + [
            "--ssl", "--ssl-cert", cert, "--ssl-key", key]


class Redis(peers.Redis):
    secure = True

    def argv(self, program, work, port, clients, many):
        cert, key = certificate(work)
        argv = super().argv(program, work, port, clients, many)
        at = argv.index("--port")
        argv[at:at + 2] = ["--port", "0", "--tls-port", str(port)]
        return argv + ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]


class Mosquitto(peers.Mosquitto):
    secure = True

    def argv(self, program, work, port, clients, many):
        argv = super().argv(program, work, port, clients, many)
        cert, key = certificate(work)
        with open(work / "mosquitto.conf", "a", encoding="utf-8") as conf:
            conf.write(f"certfile {cert}\nkeyfile {key}\n")
        return argv


def everyone():
    return [Chatd(), SendLoop(), Ncat(), Redis(), Mosquitto()]
