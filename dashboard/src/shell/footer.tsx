import { t } from "../store/store";

export function Footer() {
  return (
    <footer class="bottom">
      <p>
        <strong>{t.value.provisional}</strong> — {t.value.footer}
      </p>
      <p>{t.value.timesAreJst}</p>
    </footer>
  );
}
