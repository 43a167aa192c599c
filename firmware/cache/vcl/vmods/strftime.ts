/** strftime(3) in UTC and the C locale. */

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
	"January",
	"February",
	"March",
	"April",
	"May",
	"June",
	"July",
	"August",
	"September",
	"October",
	"November",
	"December",
];

const dayMilliseconds = 86_400_000;

/** Numbers that are filled up with zeros, and with blanks. */
const zeroFilled = /[CdgGHIjmMsSuUVwWyY]/;
const blankFilled = /[ekl]/;

/** With the flags and widths of the GNU C library: "%-d", "%_H", "%^a", "%03d". */
export function strftime(seconds: number, format: string): string {
	const date = new Date(Math.trunc(seconds) * 1000);
	return format.replace(
		/%([-_0^#]*)(\d*)[EO]?([a-zA-Z%])/g,
		(whole, flags: string, width: string, letter: string) => {
			const plain = field(date, letter);
			return plain === null ? whole : laidOut(plain, letter, flags, Number(width));
		},
	);
}

function laidOut(plain: string, letter: string, flags: string, width: number): string {
	const filler = /[-_0](?=[^-_0]*$)/.exec(flags)?.[0];
	let text = plain;
	if (flags.includes("#") && /[pZ]/.test(letter)) text = text.toLowerCase();
	else if (flags.includes("^") || (flags.includes("#") && /[aAbBh]/.test(letter))) text = text.toUpperCase();
	if (zeroFilled.test(letter) || blankFilled.test(letter)) {
		const digits = text.replace(/^[0 ]+(?=\d)/, "");
		if (filler === "-") return digits;
		const usual = blankFilled.test(letter) ? "_" : "0";
		return digits.padStart(width || text.length, (filler ?? usual) === "_" ? " " : "0");
	}
	return filler === "-" ? text : text.padStart(width, filler === "0" ? "0" : " ");
}

function pad(value: number, width: number, filler = "0"): string {
	return String(value).padStart(width, filler);
}

function field(date: Date, letter: string): string | null {
	const year = date.getUTCFullYear();
	const month = date.getUTCMonth();
	const day = date.getUTCDate();
	const weekday = date.getUTCDay();
	const hour = date.getUTCHours();
	const minute = pad(date.getUTCMinutes(), 2);
	const second = pad(date.getUTCSeconds(), 2);
	const yearDay = Math.floor((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / dayMilliseconds);
	switch (letter) {
		case "a":
			return days[weekday]!.slice(0, 3);
		case "A":
			return days[weekday]!;
		case "b":
		case "h":
			return months[month]!.slice(0, 3);
		case "B":
			return months[month]!;
		case "c":
			return `${days[weekday]!.slice(0, 3)} ${months[month]!.slice(0, 3)} ${pad(day, 2, " ")} ${pad(hour, 2)}:${minute}:${second} ${year}`;
		case "C":
			return pad(Math.floor(year / 100), 2);
		case "d":
			return pad(day, 2);
		case "D":
		case "x":
			return `${pad(month + 1, 2)}/${pad(day, 2)}/${pad(year % 100, 2)}`;
		case "e":
			return pad(day, 2, " ");
		case "F":
			return `${year}-${pad(month + 1, 2)}-${pad(day, 2)}`;
		case "g":
			return pad(isoWeek(date).year % 100, 2);
		case "G":
			return String(isoWeek(date).year);
		case "H":
			return pad(hour, 2);
		case "I":
			return pad(hour % 12 || 12, 2);
		case "j":
			return pad(yearDay + 1, 3);
		case "k":
			return pad(hour, 2, " ");
		case "l":
			return pad(hour % 12 || 12, 2, " ");
		case "m":
			return pad(month + 1, 2);
		case "M":
			return minute;
		case "n":
			return "\n";
		case "p":
			return hour < 12 ? "AM" : "PM";
		case "P":
			return hour < 12 ? "am" : "pm";
		case "r":
			return `${pad(hour % 12 || 12, 2)}:${minute}:${second} ${hour < 12 ? "AM" : "PM"}`;
		case "R":
			return `${pad(hour, 2)}:${minute}`;
		case "s":
			return String(Math.floor(date.getTime() / 1000));
		case "S":
			return second;
		case "t":
			return "\t";
		case "T":
		case "X":
			return `${pad(hour, 2)}:${minute}:${second}`;
		case "u":
			return String(weekday || 7);
		case "U":
			return pad(Math.floor((yearDay + 7 - weekday) / 7), 2);
		case "V":
			return pad(isoWeek(date).week, 2);
		case "w":
			return String(weekday);
		case "W":
			return pad(Math.floor((yearDay + 7 - ((weekday + 6) % 7)) / 7), 2);
		case "y":
			return pad(year % 100, 2);
		case "Y":
			return String(year);
		case "z":
			return "+0000";
		case "Z":
			return "GMT";
		case "%":
			return "%";
		default:
			return null;
	}
}

/** ISO 8601: week 1 holds the year's first Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
	const thursday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));
	thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7));
	const year = thursday.getUTCFullYear();
	return {
		year,
		week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / dayMilliseconds / 7) + 1,
	};
}
