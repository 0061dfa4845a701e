import { beforeEach, describe, expect, test, vi } from "vitest";
import { asset, isPage, isShell, keepAll, mayBeKept, page } from "../worker/keep";

const ORIGIN = "http://river.example";
vi.stubGlobal("location", { origin: ORIGIN, pathname: "/", search: "" });
const { stationHref } = await import("../src/ui/route");

const html = (version: string, init?: ResponseInit) =>
  new Response(`<title>Kawamori</title><meta name="version" content="${version}" />`, {
    headers: { "Content-Type": "text/html; charset=utf-8" },
    ...init,
  });
const asked = (path: string) => new Request(ORIGIN + path);

/** A device's cache; on a full disk nothing more goes in, and what is there stays. */
class Disk {
  readonly files = new Map<string, Response>();
  full = false;
  forbidden = false;

  readonly #url = (of: RequestInfo) => (typeof of === "string" ? new URL(of, ORIGIN).href : of.url);
  match = async (of: RequestInfo) => this.files.get(this.#url(of))?.clone();
  put = async (of: RequestInfo, answer: Response) => {
    if (this.full) throw new DOMException("disk", "QuotaExceededError");
    this.files.set(this.#url(of), answer);
  };
  add = async (of: RequestInfo) => this.put(of, await fetch(of));
  keys = async () => [...this.files.keys()].map((url) => new Request(url));
  delete = async (of: RequestInfo) => this.files.delete(this.#url(of));
  open = async () => {
    if (this.forbidden) throw new DOMException("storage", "SecurityError");
    return this;
  };
  text = (path: string) =>
    this.files
      .get(ORIGIN + path)
      ?.clone()
      .text();
}

let disk: Disk;
let answers: Map<string, () => Response>;
let work: Promise<unknown>[];
const later = (more: Promise<unknown>) => void work.push(more);
const settled = () => Promise.allSettled(work);

beforeEach(() => {
  disk = new Disk();
  answers = new Map();
  work = [];
  vi.stubGlobal("caches", disk);
  vi.stubGlobal("fetch", async (of: RequestInfo) => {
    const answer = answers.get(
      typeof of === "string" ? new URL(of, ORIGIN).pathname : new URL(of.url).pathname,
    );
    if (!answer) throw new TypeError("Failed to fetch");
    return answer();
  });
});

describe("what may be kept", () => {
  test("are the console's own addresses", () => {
    for (const path of [
      "/",
      "/alerts",
      "/system",
      "/system/",
      stationHref("kuji-3"),
      stationHref("中央 橋/2"),
    ])
      expect(isPage(path)).toBe(true);
    for (const path of [
      "/healthz",
      "/readyz",
      "/metrics",
      "/lite",
      "/api/docs",
      "/acknowledge/x",
      "/station",
    ])
      expect(isPage(path)).toBe(false);
  });

  test("are files whose name changes with their content", () => {
    expect(["/assets/index-1.js", "/favicon.svg"].map(mayBeKept)).toEqual([true, true]);
    expect(["/api/v1/site", "/version.json", "/"].map(mayBeKept)).toEqual([false, false, false]);
  });

  test("is a page that a build has put its version into", async () => {
    expect(await isShell(html("1"))).toBe(true);
    expect(await isShell(html("1", { status: 404 }))).toBe(false);
    expect(await isShell(new Response('<meta name="version"'))).toBe(false);
    const login = new Response("<h1>Sign in</h1>", { headers: { "Content-Type": "text/html" } });
    expect(await isShell(login)).toBe(false);
  });
});

describe("a page", () => {
  test("is answered and then kept, whichever view it opens", async () => {
    answers.set("/alerts", () => html("new"));
    expect(await (await page(asked("/alerts?level=3"), later)).text()).toContain("new");
    await settled();
    expect(await disk.text("/")).toContain("new");
  });

  test("is the server's where the disk is full or storage is forbidden", async () => {
    answers.set("/", () => html("new"));
    disk.files.set(`${ORIGIN}/`, html("old"));
    for (const harm of ["full", "forbidden"] as const) {
      disk[harm] = true;
      expect(await (await page(asked("/?wall=1"), later)).text()).toContain("new");
    }
    const [kept] = await settled();
    expect(kept?.status).toBe("rejected");
    expect(await disk.text("/")).toContain("old");
  });

  test("that another program in the way has answered does not replace the kept one", async () => {
    disk.files.set(`${ORIGIN}/`, html("old"));
    answers.set("/", () => new Response("<h1>Sign in</h1>", { headers: { "Content-Type": "text/html" } }));
    expect(await (await page(asked("/"), later)).text()).toContain("Sign in");
    await settled();
    expect(await disk.text("/")).toContain("old");
  });

  test("is the kept one while the server is away or in trouble", async () => {
    await expect(page(asked("/"), later)).rejects.toThrow("Failed to fetch");
    disk.files.set(`${ORIGIN}/`, html("old"));
    expect(await (await page(asked("/"), later)).text()).toContain("old");
    answers.set("/", () => html("broken", { status: 503 }));
    expect(await (await page(asked("/"), later)).text()).toContain("old");
    await settled();
    expect(await disk.text("/")).toContain("old");
  });
});

describe("a file of the page", () => {
  test("is fetched once", async () => {
    answers.set("/assets/a.js", () => new Response("a"));
    await asset(asked("/assets/a.js"), later);
    await settled();
    answers.clear();
    expect(await (await asset(asked("/assets/a.js"), later)).text()).toBe("a");
  });

  test("is the server's where the disk is full or storage is forbidden", async () => {
    answers.set("/assets/a.js", () => new Response("a"));
    for (const harm of ["full", "forbidden"] as const) {
      disk[harm] = true;
      expect(await (await asset(asked("/assets/a.js"), later)).text()).toBe("a");
    }
    await settled();
  });
});

test("the newest build is kept whole, and nothing of an older one", async () => {
  disk.files.set(`${ORIGIN}/`, html("old"));
  disk.files.set(`${ORIGIN}/assets/old.js`, new Response("old"));
  answers.set("/version.json", () => Response.json({ version: "new", files: ["/assets/new.js"] }));
  answers.set("/", () => html("new"));
  answers.set("/assets/new.js", () => new Response("new"));
  await keepAll();
  expect([...disk.files.keys()].sort()).toEqual([`${ORIGIN}/`, `${ORIGIN}/assets/new.js`]);
  expect(await disk.text("/")).toContain("new");
});
