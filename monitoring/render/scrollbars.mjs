// The package is CommonJS with its own `default`; the bundler, like node, nests it one level too deep.
import scrollbars from "./node_modules/react-custom-scrollbars-2/lib/index.js";

export default scrollbars.default ?? scrollbars;
export const Scrollbars = scrollbars.Scrollbars;
