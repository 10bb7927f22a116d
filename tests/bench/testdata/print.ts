/** Prints, and nothing else. */
console.log("printed");
