// Buttons with data-copy put that text on the clipboard and say so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const live = document.getElementById("live");
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Without a secure context there is no clipboard: select the text, so that the keyboard can copy it.
    const code = button.parentElement.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    return;
  }
  button.classList.add("copied");
  if (live) live.textContent = button.dataset.copied;
  setTimeout(() => button.classList.remove("copied"), 1500);
});
