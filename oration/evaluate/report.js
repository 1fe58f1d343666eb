// The playhead on each track, a click on a track to go there, and one recording at a time. The page works without it.
for (const figure of document.querySelectorAll(".player")) {
  const audio = figure.querySelector("audio");
  const track = figure.querySelector(".track");
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
  });
  if (!track) continue;
  const head = track.querySelector(".head");
  const show = () => {
    if (audio.duration) head.style.left = (100 * audio.currentTime) / audio.duration + "%";
    if (!audio.paused) requestAnimationFrame(show);
  };
  for (const event of ["play", "seeked", "timeupdate"]) {
    audio.addEventListener(event, () => { figure.classList.add("on"); show(); });
  }
  track.addEventListener("click", (event) => {
    const box = track.getBoundingClientRect();
    if (audio.duration) audio.currentTime = (audio.duration * (event.clientX - box.left)) / box.width;
    audio.play();
  });
}
