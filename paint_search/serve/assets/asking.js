// On every page: a picture dropped, pasted or picked is what is looked for.

import { upload } from "./api.js";
import { showCount } from "./collected.js";
import { $, attempt, say } from "./dom.js";

async function askWith(file) {
  say("Sending the picture …");
  const sent = await attempt(() => upload(file));
  if (sent) location.assign(`/?like=${encodeURIComponent(sent.id)}`);
  else say("");
}

const hasFile = (transfer) => [...(transfer?.types ?? [])].includes("Files");
let depth = 0; // dragenter and dragleave come for each element on the way

addEventListener("dragenter", (event) => { if (hasFile(event.dataTransfer) && ++depth) document.body.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (hasFile(event.dataTransfer) && !--depth) document.body.classList.remove("dropping"); });
addEventListener("dragover", (event) => { if (hasFile(event.dataTransfer)) event.preventDefault(); });
addEventListener("drop", (event) => {
  depth = 0;
  document.body.classList.remove("dropping");
  if (!hasFile(event.dataTransfer)) return;
  event.preventDefault();
  askWith(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (file) askWith(file);
});
$("#pick").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file may be picked once more
  if (file) askWith(file);
});
showCount();
addEventListener("pageshow", showCount);
