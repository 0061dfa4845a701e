/** One of a few: buttons in a row, the pressed one holds. */
interface Given<T extends string> {
  /** For who cannot see the row. */
  readonly label: string;
  readonly options: readonly T[];
  readonly value: T | null;
  readonly text: (option: T) => string;
  /** Each button's test id begins with it. */
  readonly name: string;
  readonly class?: string;
  readonly set: (option: T) => void;
}

export function Segments<T extends string>(given: Given<T>) {
  return (
    <fieldset class={given.class ?? "segments"}>
      <legend class="sr">{given.label}</legend>
      {given.options.map((option) => (
        <button
          key={option}
          type="button"
          aria-pressed={given.value === option}
          data-testid={`${given.name}-${option}`}
          onClick={() => given.set(option)}
        >
          {given.text(option)}
        </button>
      ))}
    </fieldset>
  );
}
