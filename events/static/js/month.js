// Keys go to days or links so named.
const days = [...document.querySelectorAll("td")];
const on = document.dir === "rtl" ? -1 : 1;
const go = (day) => day.querySelector("a, time").focus();

onkeydown = ({ key, target, altKey, ctrlKey, metaKey }) => {
  const at = days.indexOf(target.closest("td")), row = at % 7;
  if (at < 0 || altKey || ctrlKey || metaKey) return;
  const by = { ArrowLeft: -on, ArrowRight: on, ArrowUp: -7, ArrowDown: 7, Home: -row, End: 6 - row };
  const day = days[at + by[key]], link = document.getElementById(key);
  if (day) go(day);
  if (link) location = link + "#on";
  return !day && !link;
};

if (location.hash) go(days[7]);
