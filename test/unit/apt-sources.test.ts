import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { aptArchives, archiveFor, parseDeb822, parseOneLine } from "../../server/host/apt-sources.ts";

describe("the host's apt sources", () => {
  it("are read in the one-line form, with options", () => {
    const text = `# a comment
deb http://one.example/debian bookworm main contrib
  deb [ arch=amd64 signed-by=/usr/share/keyrings/two.gpg ] https://two.example/debian trixie main
deb-src http://three.example/debian bookworm main
#deb http://four.example/debian bookworm main
`;
    expect(parseOneLine(text)).toEqual([
      { uri: "http://one.example/debian", suites: ["bookworm"], keyring: null },
      { uri: "https://two.example/debian", suites: ["trixie"], keyring: "/usr/share/keyrings/two.gpg" },
    ]);
  });

  it("are read in the deb822 form: comments, several values, folded lines, embedded keys, disabled entries", () => {
    const text = `Types: deb deb-src
# between fields
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm
  bookworm-updates
Signed-By: /usr/share/keyrings/one.gpg

Types: deb
URIs: http://three.example/debian
Suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://four.example/debian
Suites: trixie

Types: deb-src
URIs: http://five.example/debian
Suites: trixie
`;
    const suites = ["bookworm", "bookworm-updates"];
    expect(parseDeb822(text)).toEqual([
      { uri: "http://one.example/debian", suites, keyring: "/usr/share/keyrings/one.gpg" },
      { uri: "http://two.example/debian", suites, keyring: "/usr/share/keyrings/one.gpg" },
      { uri: "http://three.example/debian", suites: ["trixie"], keyring: null },
    ]);
  });

  it("give the archive of the suite, and pass over passwords, other transports and security archives", async () => {
    const base = await mkdtemp(join(tmpdir(), "unshared-apt-"));
    await mkdir(join(base, "sources.list.d"));
    await writeFile(
      join(base, "sources.list"),
      "deb http://user:secret@one.example/debian bookworm main\ndeb cdrom:[x]/ bookworm main\ndeb file:/srv bookworm main\n",
    );
    await writeFile(
      join(base, "sources.list.d/b.list"),
      "deb http://security.example/debian-security bookworm main\ndeb http://other.example/debian trixie main\n",
    );
    await writeFile(join(base, "sources.list.d/c.sources"), "Types: deb\nURIs: http://main.example/debian\nSuites: bookworm\n");
    await writeFile(join(base, "sources.list.d/d.list.disabled"), "deb http://no.example/debian bookworm main\n");
    const archives = await aptArchives(base);
    await rm(base, { recursive: true });
    expect(archives.map((each) => each.uri)).toEqual([
      "http://security.example/debian-security",
      "http://other.example/debian",
      "http://main.example/debian",
    ]);
    expect(archiveFor("bookworm", archives)?.uri).toBe("http://main.example/debian");
    expect(archiveFor("sid", archives)?.uri).toBe("http://other.example/debian");
    expect(archiveFor("sid", [])).toBeNull();
  });

  it("hold those whose indexes apt itself has", async () => {
    const printed = execFileSync("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], { encoding: "utf8" });
    const expected = printed.split("\n").filter((line) => line.startsWith("http"));
    const ours = (await aptArchives()).map((each) => each.uri.replace(/\/*$/, "/"));
    expect(expected.filter((uri) => !ours.includes(uri))).toEqual([]);
  });
});
