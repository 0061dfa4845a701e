/** What this device last knew, kept for the hour when it starts and the server is away. Shown as old, never as now. */
import type { GeoCollection, LevelsLatest, Site, Station } from "../api/types";

export interface Snapshot {
  readonly site: Site | null;
  readonly levels: LevelsLatest;
  readonly stations: readonly Station[];
  readonly geo: GeoCollection | null;
}

const NAME = "kawamori";
const ROOM = "last";
const KEY = "snapshot";

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((done, failed) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

async function room(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const asked = indexedDB.open(NAME, 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore(ROOM);
  const database = await request(asked);
  const transaction = database.transaction(ROOM, mode);
  transaction.oncomplete = () => database.close();
  transaction.onabort = () => database.close();
  return transaction.objectStore(ROOM);
}

/** Where storage is forbidden or full, the next start without a server shows nothing; nothing else is lost. */
export async function keepSnapshot(snapshot: Snapshot): Promise<void> {
  try {
    await request((await room("readwrite")).put(snapshot, KEY));
  } catch {
    return;
  }
}

export async function lastSnapshot(): Promise<Snapshot | null> {
  try {
    return ((await request((await room("readonly")).get(KEY))) as Snapshot | undefined) ?? null;
  } catch {
    return null;
  }
}
