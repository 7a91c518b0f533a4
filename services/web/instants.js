// Instants and days. A plain date is 00:00 of that day in a layer's time zone, as on the server.

const formats = new Map();

function parts(ms, zone) {
  if (!formats.has(zone)) {
    formats.set(
      zone,
      new Intl.DateTimeFormat("en-CA", {
        timeZone: zone,
        hourCycle: "h23",
        year: "numeric",
        month: "2-digit",
        day: "2-digit",
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
      }),
    );
  }
  return Object.fromEntries(formats.get(zone).formatToParts(ms).map((p) => [p.type, p.value]));
}

// An instant as people of that zone write it; only the day where it is 00:00 there.
export function local(instant, zone) {
  const p = parts(new Date(instant), zone);
  const day = `${p.year}-${p.month}-${p.day}`;
  if (`${p.hour}${p.minute}${p.second}` === "000000") return day;
  return `${day} ${p.hour}:${p.minute}${p.second === "00" ? "" : `:${p.second}`}`;
}

// What to write into ?datetime= for an instant: a date where that means the same.
export function asParameter(instant, zone) {
  const text = local(instant, zone);
  return text.length === 10 ? text : instant;
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;

// Milliseconds of a ?datetime= in a zone, NaN where it is none (the server then says why).
export function toMs(text, zone) {
  if (!text) return Date.now();
  if (!DATE.test(text)) return /^\d{4}-\d{2}-\d{2}[Tt]/.test(text) ? Date.parse(text) : NaN;
  const wanted = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(wanted)) return NaN;
  let ms = wanted;
  for (let i = 0; i < 2; i += 1) {
    const p = parts(ms, zone);
    ms += wanted - Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
  }
  return ms;
}

export const DAY = 86_400_000;
export const dayNumber = (date) => Math.floor(Date.parse(`${date.slice(0, 10)}T00:00:00Z`) / DAY);
export const dayText = (number) => new Date(number * DAY).toISOString().slice(0, 10);
export const today = () => {
  const now = new Date();
  return dayText(Math.floor((now - now.getTimezoneOffset() * 60_000) / DAY));
};

// A period [start, end) in words.
export function period([start, end], zone) {
  return `${local(start, zone)} — ${end === ".." ? "至今 now" : local(end, zone)}`;
}
