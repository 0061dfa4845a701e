/** What an answer to an alert is called. */
import type { Action } from "../store/answers";
import { dialogWords } from "./dialog-catalogue";

export function actionWord(action: Action): string {
  const words = dialogWords.value;
  const called: Record<Action, string> = {
    acknowledge: words.acknowledge,
    notes: words.memo,
    shelve: words.shelve,
    unshelve: words.unshelve,
    confirm: words.confirmTrue,
    withdraw: words.withdrawFalse,
  };
  return called[action];
}
