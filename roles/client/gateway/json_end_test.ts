import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonEnd } from "./json_end.ts";

Deno.test("the end of any object is seen at its last character, and not before", () => {
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
    const text = JSON.stringify(value);
    const end = new JsonEnd();
    for (const unit of text.split("").slice(0, -1)) {
      end.push(unit);
      assert.equal(end.ended, false);
    }
    end.push(text.slice(-1));
    assert.equal(end.ended, true);
  }));
});
