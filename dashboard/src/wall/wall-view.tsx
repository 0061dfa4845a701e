/** The wall screen: readable from across the room, touched by nobody. */
import { Summary } from "../situation/summary";
import { LevelTable } from "../situation/table";

export function WallView() {
  return (
    <main class="view view-wall" id="view" tabIndex={-1} data-testid="wall-view">
      <Summary />
      <LevelTable />
    </main>
  );
}
