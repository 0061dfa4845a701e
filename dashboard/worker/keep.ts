/** How the service worker answers: first from the server or what is kept; keeping comes after, and may fail. */

const CACHE = "kawamori-page";
const SHELL = "/";
/** A server that is slower than this is treated like one that is away, where the page is already here. */
const PATIENCE_MS = 6_000;

/** Takes over what may go on after the answer, and passes over its failure: a full disk is no reason to fail. */
export type Later = (work: Promise<unknown>) => void;

/** Pure: files whose content never changes under their name. */
export const mayBeKept = (path: string) => path.startsWith("/assets/") || path === "/favicon.svg";

/** Pure: the console's own addresses (`src/ui/route.ts`); the server has other pages too, `/healthz` for one. */
export const isPage = (path: string) => /^\/((station\/[^/]+|alerts|system)\/?)?$/.test(path);

/** Whether an answer is a build of the console, by the version that the build writes into it. */
export async function isShell(answer: Response): Promise<boolean> {
  if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("text/html")) return false;
  return (await answer.text()).includes('<meta name="version"');
}

/** Nothing is kept where the cache cannot even be opened. */
async function kept(asked: RequestInfo): Promise<Response | undefined> {
  try {
    return await (await caches.open(CACHE)).match(asked);
  } catch {
    return undefined;
  }
}

const keep = async (asked: RequestInfo, answer: Response) => (await caches.open(CACHE)).put(asked, answer);

async function keepShell(answer: Response): Promise<void> {
  if (await isShell(answer.clone())) await keep(SHELL, answer);
}

export async function asset(request: Request, later: Later): Promise<Response> {
  const here = await kept(request);
  if (here) return here;
  const answer = await fetch(request);
  if (answer.ok) later(keep(request, answer.clone()));
  return answer;
}

/** A navigation takes no signal of ours. */
function inTime(request: Request): Promise<Response> {
  const late = new Promise<never>((_, refuse) => setTimeout(() => refuse(new Error("late")), PATIENCE_MS));
  return Promise.race([fetch(request), late]);
}

export async function page(request: Request, later: Later): Promise<Response> {
  const here = await kept(SHELL);
  try {
    const answer = await (here ? inTime(request) : fetch(request));
    later(keepShell(answer.clone()));
    return answer.status >= 500 && here ? here : answer;
  } catch (error) {
    if (here) return here;
    throw error;
  }
}

/** Fetches what the newest build has and this device lacks, one file after the other; lets go of older builds' files. */
export async function keepAll(): Promise<void> {
  const answer = await fetch("/version.json", { cache: "no-store" });
  if (!answer.ok) return;
  const { version, files } = (await answer.json()) as { version: string; files: readonly string[] };
  const cache = await caches.open(CACHE);
  const shell = await (await cache.match(SHELL))?.text();
  if (!shell?.includes(version)) await keepShell(await fetch(SHELL));
  const here = (file: string) => new URL(file, location.origin).href;
  const wanted = new Set(files.map(here));
  for (const url of wanted) if (!(await cache.match(url))) await cache.add(url);
  wanted.add(here(SHELL));
  for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
}
