// The colour toggle without a round trip. The server reads the same cookie, so that the next page starts right.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const order = ["system", "light", "dark"];
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const theme = button.value;
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      root.dataset.theme = theme;
      button.value = order[(order.indexOf(theme) + 1) % order.length];
      button.querySelector("[data-theme-label]").textContent = button.getAttribute(`data-label-${theme}`);
      document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
    });
  }
})();
